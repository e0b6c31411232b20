"""Checks annotations while tests run (see the Makefile): shapes by jaxtyping, the rest by beartype.

An int is good where a float is asked for (PEP 484's numeric tower), which beartype leaves open.
"""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
