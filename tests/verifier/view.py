"""A roster as the log vectors tell it, known up to one index."""

from vectors import unhex


class View:
    def __init__(self, roster, index=None):
        self.heads = [unhex(it) for it in roster["heads"]]
        self.index = len(self.heads) - 1 if index is None else index
        self.devices = {unhex(it["device"]): it for it in roster["devices"].values() if it["added"] <= self.index}

    def key(self, device):
        it = self.devices.get(device)
        return unhex(it["public_key"]) if it else None

    def has_head(self, head):
        return head[0] <= self.index and self.heads[head[0]] == head[1]

    def live(self, device, at):
        it = self.devices.get(device)
        return it is not None and it["added"] <= at and (it["removed"] is None or at < it["removed"])

    def removed_after(self, index):
        gone = lambda it: it["removed"] is not None and index < it["removed"] <= self.index  # noqa: E731
        return [device for device, it in self.devices.items() if gone(it)]

    def member(self, device):
        return unhex(self.devices[device]["member"])

    def is_admin(self, device, at):
        member = self.devices[device]["member"]
        return any(it["admin"] and it["member"] == member and it["added"] <= at for it in self.devices.values())
