"""etcd as a store that is chosen by its name."""

from collections.abc import Iterator

from controller.store.etcd.access import EtcdAccess
from controller.store.etcd.membership import EtcdMembership
from controller.store.plugin import INTERFACE_VERSION, StoreSetting


class EtcdPlugin:
    """A cluster's store, for several controllers of which one leads."""

    interface_version = INTERFACE_VERSION

    def open(self, setting: StoreSetting) -> EtcdMembership:
        return EtcdMembership(
            setting.endpoints,
            setting.prefix,
            setting.name,
            setting.northbound,
            setting.lease_ttl_s,
        )

    def access(self, setting: StoreSetting) -> EtcdAccess:
        return EtcdAccess(setting.endpoints, setting.prefix)

    def problems(self, setting: StoreSetting) -> Iterator[tuple[str, str]]:
        """None that could be seen from here: etcd may come later than its controllers."""
        return iter(())

    def described(self, setting: StoreSetting) -> str:
        return f"etcd {', '.join(setting.endpoints)}"
