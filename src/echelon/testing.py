"""Conformance checks that third parties call in their own tests.

    from echelon.testing import check_env, check_policy, check_problem

Each check returns nothing where all is well, and otherwise raises a `ConformanceError` that says what must hold,
what was got, and how to mend it. `check_policy` is for whoever writes a policy, `check_problem` for whoever writes a
problem or a network, `check_env` for whoever writes or wraps an environment. All are deterministic.
"""

from __future__ import annotations

from echelon._conformance import ConformanceError as ConformanceError
from echelon._conformance_env import check_env as check_env
from echelon._conformance_policy import check_policy as check_policy
from echelon._conformance_problem import check_problem as check_problem
