"""The mobile router, which is its peers' correspondent router as well."""
