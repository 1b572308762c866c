"""A Ray cluster of two nodes with one core each, simulated on this machine and on loopback only."""

import os
from types import TracebackType
from typing import Any, Self

from forecast_assets_tests.helpers.graph import environment

LOOPBACK = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # what makes Ray listen on loopback, whatever the system
}
OBJECTS = 80 * 2**20
"""Bytes of a node's object store; Ray's least is 75 MiB."""


class TwoNodes:
    """Two nodes of one core each; workers get the environment in which they were started."""

    def __enter__(self) -> Self:
        self._environment = environment(**LOOPBACK, OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", "1"))
        self._environment.__enter__()
        from ray.cluster_utils import Cluster

        node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": OBJECTS, "node_ip_address": "127.0.0.1"}
        self._node = node
        self.cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        self.second = self.cluster.add_node(**node)
        return self

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def nodes(self) -> list[Any]:
        """Return Ray's own handles of both nodes, the driver's first."""
        return [self.cluster.head_node, self.second]

    @property
    def second_id(self) -> str:
        """The node id that Ray gives to tasks on the second node."""
        import ray

        (found,) = [node for node in ray.nodes() if node["RayletSocketName"] == self.second.raylet_socket_name]
        return str(found["NodeID"])

    def kill_second(self) -> None:
        """Kill all processes of the node without the driver at once, as a power cut would."""
        self.cluster.remove_node(self.second, allow_graceful=False)

    def add_second(self) -> None:
        self.second = self.cluster.add_node(**self._node)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray

        ray.shutdown()
        self.cluster.shutdown()
        self._environment.__exit__(kind, error, trace)
