"""The scenarios of the sheet's section 11, played by cores in virtual time."""

from __future__ import annotations

from haaro_domain import Domain


def test_first():
    domain = Domain()
    domain.start()
    print(*domain.talked, sep="\n")
    print(*domain.log, sep="\n")
    assert domain.knows("a") == {}
    assert domain.knows("b") == {"a": ["10.10.1.0/24"]}
    begin = domain.now
    assert domain.ping("a", "c")
    domain.run(3)
    print(*[x for x in domain.talked if x[0] >= begin], sep="\n")
    print(*[x for x in domain.log if x[0] >= begin], sep="\n")
    print(domain.routes("a"), domain.routes("c"))
    assert 0
