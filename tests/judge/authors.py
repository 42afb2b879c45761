"""I6: our programs change and delete only what they made, except for what they must tell others."""

from collections.abc import Iterator

from tests.judge.facts import JobState, WorkloadState, Write
from tests.judge.history import History
from tests.judge.rules import WORKLOAD_CONTROLLER, Rules, Violation

SECOND = 1_000_000

# Questions to the API server, not objects.
_QUESTIONS = (".authorization.k8s.io", ".authentication.k8s.io")


class Authors:
    """Who created the objects that exist now, as far as the log tells; fed with the writes in order."""

    def __init__(self) -> None:
        self._creators: dict[tuple[str, str, str, str], Write] = {}
        self._removed: dict[tuple[str, str, str, str], tuple[Write, Write]] = {}  # its create, its end

    def creator(self, write: Write) -> Write | None:
        """The create of the object that ``write`` touches."""
        key = (write.space, write.resource, write.namespace, write.name)
        removed = self._removed.get(key)
        if key not in self._creators and removed and removed[1].when.latest >= write.when.earliest:
            return removed[0]  # both were under way at once: it may have hit the object before its end
        return self._creators.get(key)

    def note(self, write: Write) -> None:
        """Follow one write."""
        if write.resource.endswith(_QUESTIONS):
            return
        key = (write.space, write.resource, write.namespace, write.name)
        if write.created:
            self._creators[key] = write
        elif write.verb == "deletecollection" and write.removed:
            for other in [k for k in self._creators if k[:2] == key[:2] and write.namespace in {"", k[2]}]:
                del self._creators[other]
        elif write.removed and (made := self._creators.pop(key, None)):
            self._removed[key] = (made, write)

    def living(self) -> list[Write]:
        """The creates of all objects that exist."""
        return list(self._creators.values())


class _Leaving:
    """Hub jobs that are being deleted, and their Workloads; fed with the writes in order."""

    def __init__(self, hub: str) -> None:
        self._hub = hub
        self._jobs: set[str] = set()  # uids
        self._owners: dict[tuple[str, str], str] = {}  # uid of its job, by a Workload's namespace and name

    def note(self, write: Write) -> None:
        """Follow one write."""
        if write.space != self._hub:
            return
        if isinstance(write.state, JobState) and write.state.leaving:
            self._jobs.add(write.uid)
        elif isinstance(write.state, WorkloadState):
            self._owners[write.namespace, write.name] = write.state.owner

    def takes_along(self, write: Write) -> bool:
        """Whether it deletes the Workload of such a job, as the job has to before it gives its name free."""
        ours = (write.space, write.resource, write.verb, write.user) == (
            self._hub,
            "workloads.kueue.x-k8s.io",
            "delete",
            WORKLOAD_CONTROLLER,
        )
        return ours and self._owners.get((write.namespace, write.name)) in self._jobs


def only_our_own(history: History, rules: Rules) -> Iterator[Violation]:
    """Each update, patch or delete by one of our users to an object that none of them created."""
    authors = Authors()
    leaving = _Leaving(rules.hub)
    for write in history.writes:
        leaving.note(write)
        if write.user in rules.users and not write.created:
            made = authors.creator(write)
            permitted = _permitted(write, rules) or leaving.takes_along(write)
            if not (made and made.user in rules.users) and not permitted:
                owner = f"created by {made.user}" if made else "whose creator the log does not know"
                what = ", ".join(sorted(write.fields)) if write.fields else "?"
                sentence = f"{write.user} did {write.verb} on an object {owner} (fields: {what})"
                yield Violation("I6", write.when.earliest / SECOND, write.title, sentence)
        authors.note(write)


def _permitted(write: Write, rules: Rules) -> bool:
    return any(
        permission.resource == write.resource
        and permission.subresource == write.subresource
        and permission.user in {"*", write.user}
        and write.verb in permission.verbs
        and (permission.fields is None or (write.fields is not None and write.fields <= permission.fields))
        for permission in rules.permissions
    )
