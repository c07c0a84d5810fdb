"""Networks, scenarios, dynamics and environments."""

from echelon.envs.catalogue import PROBLEMS as PROBLEMS
from echelon.envs.catalogue import make_problem as make_problem
from echelon.envs.codec import Codec as Codec
from echelon.envs.dynamics import initial_state as initial_state
from echelon.envs.dynamics import step as step
from echelon.envs.errors import EchelonError as EchelonError
from echelon.envs.network import Link as Link
from echelon.envs.network import Network as Network
from echelon.envs.network import Node as Node
from echelon.envs.policy import Policy as Policy
from echelon.envs.policy import order_up_to as order_up_to
from echelon.envs.problem import Problem as Problem
from echelon.envs.problem import Reference as Reference
from echelon.envs.scenarios import Scenarios as Scenarios
from echelon.envs.scenarios import sample as sample
from echelon.envs.simulate import Outcome as Outcome
from echelon.envs.simulate import simulate as simulate
from echelon.envs.simulate import simulate_stream as simulate_stream
from echelon.envs.state import Draw as Draw
from echelon.envs.state import Ledger as Ledger
from echelon.envs.state import State as State
