"""Route optimisation and mobility of AERO: direct paths between Clients, how they are kept (spec RO-*, MOB-*)."""
