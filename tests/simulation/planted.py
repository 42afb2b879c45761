"""The list of planted bugs: which guard goes, and which promise it keeps.

Not in the list, since no promise rests on it alone: ``or s.bound`` in ``lifecycle._leave`` (it saves
requests: ``Writer.is_gone``, which is in the list, asks the WDS for the Binding).
"""

from typing import NamedTuple


class Mutant(NamedTuple):
    """``old`` is replaced by ``new`` in ``module``; ``breaks`` is the promise that is to be seen broken."""

    name: str
    module: str
    old: str
    new: str
    breaks: str


LIFECYCLE = "workload_controller.lifecycle"
ATTEMPT = "workload_controller.attempt"
LOSS = "workload_controller.loss"
RETRY = "workload_controller.retry"
VIEW = "workload_controller.view"
LEDGER = "workload_controller.ledger"
PLACEMENT = "workload_controller.placement"
PACKING = "workload_controller.packing"
CONTROLLER = "workload_controller.controller"
ACTIONS = "workload_controller.actions"
JOB = "workload_controller.kinds.batch_job"
WAVES = "workload_controller.waves"
LEASE = "kube_runtime.lease"
INFORMER = "kube_runtime.informer"

MUTANTS = (
    # Leaving: policy, ManifestWork, pods, release.
    Mutant(
        "releases while the ManifestWork is there",
        LIFECYCLE,
        "    if staying or s.bound:\n",
        "    if False:\n",
        "I1",
    ),
    Mutant(
        "forgets that a Binding can still make a ManifestWork",
        ACTIONS,
        "            binding = await self._wds.get(BINDINGS, copy.wave)\n",
        '            raise NotFound(404, "NotFound", "not asked")\n',
        "I1",
    ),
    Mutant(
        "believes its stores that nothing carries a copy any more",
        CONTROLLER,
        "                if not await self._writer.is_gone(copy):\n",
        "                if False:\n",
        "I2",
    ),
    # Leaving a wave that goes on.
    Mutant(
        "takes a copy out of its wave before KubeStellar has listed it",
        LIFECYCLE,
        "    if not s.listed:\n",
        "    if False:\n",
        "I2",
    ),
    Mutant(
        "believes a Binding that the transport has not read",
        WAVES,
        "    return copy.withdrawn and binding.settled and not lists(binding, copy)\n",
        "    return copy.withdrawn and not lists(binding, copy)\n",
        "I1",
    ),
    Mutant(
        "deletes a wave by what its stores say",
        CONTROLLER,
        "            if policy.size > 1 and await self._writer.carries_others(policy, leaving):\n",
        "            if False:\n",
        "I3",
    ),
    Mutant(
        "does not wait for the pods' grace",
        LIFECYCLE,
        "    if s.now >= ends:\n        return _overdue(s, copy, s.works_gone_at, timing) or Release(copy)\n",
        "    return Release(copy)\n",
        "I2",
    ),
    Mutant(
        "shows a result while Kueue has still to stop the job",
        LIFECYCLE,
        "            return _not_stopped_yet(s, s.job) or Mirror(s.job, result)\n",
        "            return Mirror(s.job, result)\n",
        "I5",
    ),
    Mutant(
        "believes a report of before the withdrawal",
        LIFECYCLE,
        " and s.pods.observed_at > s.works_gone_at + timing.clock_skew",
        "",
        "I2",
    ),
    Mutant(
        "overlooks the pods that a report counts",
        LIFECYCLE,
        "if s.pods is not None and not s.pods.alive and",
        "if s.pods is not None and",
        "I2",
    ),
    Mutant(
        "keeps the policy of a leaving copy",
        LIFECYCLE,
        "        if policy.name != copy.wave or not s.mates.staying:\n"
        "            return DeletePolicy(policy)\n",
        "",
        "I5",
    ),
    Mutant(
        "starts beside a ManifestWork of an earlier copy",
        LIFECYCLE,
        "    staying = [work for work in s.works if not abandoned(work, s, 0.0, timing)]\n",
        "    staying = []\n",
        "I1",
    ),
    Mutant(
        "leaves a policy behind whose copy is gone",
        LIFECYCLE,
        "        return Nothing() if policy.deleting else DeletePolicy(policy)\n",
        "        return Nothing()\n",
        "I5",
    ),
    Mutant(
        "throws a late result away",
        LIFECYCLE,
        "        if result is not None:  # a result is never",
        "        if result is not None and decision_of(s) is not None:  # a result is never",
        "result",
    ),
    Mutant(
        "lets pods go before their copy",
        LIFECYCLE,
        "    if s.copy is not None:\n        return _with_copy",
        "    if s.copy is not None and s.workload is not None:\n        return _with_copy",
        "I5",
    ),
    # Whether a Workload may run.
    Mutant(
        "goes on after an eviction",
        LIFECYCLE,
        "not (w.evicted or w.finished or w.deleting)",
        "not (w.finished or w.deleting)",
        "I5",
    ),
    Mutant(
        "goes on after the Workload was deleted",
        LIFECYCLE,
        "not (w.evicted or w.finished or w.deleting)",
        "not (w.evicted or w.finished)",
        "I5",
    ),
    Mutant(
        "goes on after the job was deleted",
        LIFECYCLE,
        "not (job.terminal or job.deleting)",
        "not job.terminal",
        "I5",
    ),
    Mutant(
        "keeps the copy of a finished job",
        LIFECYCLE,
        "not (job.terminal or job.deleting)",
        "not job.deleting",
        "I3",
    ),
    Mutant(
        "follows a decision that was taken back",
        LIFECYCLE,
        "check is None or check.state is not CheckState.READY:\n        return None",
        "check is None:\n        return None",
        "I1",
    ),
    Mutant(
        "takes the copy of an earlier attempt for its own",
        LIFECYCLE,
        "decision != Decision(copy.cluster, copy.attempt)",
        "decision is None",
        "I1",
    ),
    Mutant(
        "lets a Workload take over another one's copy",
        LIFECYCLE,
        "    if not belongs or s.check is None or",
        "    if s.check is None or",
        "I1",
    ),
    # Quota.
    Mutant(
        "does not hold the Workload",
        LIFECYCLE,
        "    if timing.hold_quota and not w.held:\n        return Hold(w)\n",
        "",
        "I2",
    ),
    Mutant(
        "does not say that pods may exist before they can",
        LIFECYCLE,
        "    return CreateCopy(w, job, decision, until) if job.active else MarkActive(job)\n",
        "    return CreateCopy(w, job, decision, until)\n",
        "I2",
    ),
    Mutant(
        "never says that the pods have ended",
        LIFECYCLE,
        "    if s.job is not None and s.job.active and not s.job.terminal and not w.finished:\n"
        "        return before_release(s, w, timing) or ReportPodsEnded(s.job)\n",
        "",
        "I5",
    ),
    Mutant(
        "a deleted job leaves before its Workload",
        LIFECYCLE,
        "    if s.job is not None and s.job.held and s.job.deleting and not w.finished:\n"
        "        return _forgotten_first(s, s.job, w, timing)\n",
        "",
        "I5",
    ),
    Mutant(
        "deletes the Workload of a job that lives",
        LIFECYCLE,
        "    if s.job is not None and s.job.held and s.job.deleting and not w.finished:\n",
        "    if s.job is not None and s.job.held and not w.finished:\n",
        "I6",
    ),
    Mutant(
        "waits for Kueue, which waits until no pod is active",
        LIFECYCLE,
        "    if job.active:\n        return ReportPodsEnded(job)\n",
        "",
        "I5",
    ),
    Mutant(
        "shows a result from an old view of the Workload",
        CONTROLLER,
        "            if not may_finish(reading.read_workload(newest)):\n",
        "            if False:\n",
        "I5",
    ),
    Mutant(
        "never lets a deleted job go",
        LIFECYCLE,
        "    if s.job is not None and s.job.held and over:\n        return LetGo(s.job)\n",
        "",
        "I5",
    ),
    Mutant(
        "never lets a Workload go",
        LIFECYCLE,
        "    if w.held and (over or w.deleting):\n        return LetGo(w)\n",
        "",
        "I5",
    ),
    Mutant(
        "holds quota without end where nothing fits",
        LIFECYCLE,
        "w.quota_reserved_at + timing.placement_timeout",
        "w.quota_reserved_at + 1e9",
        "I5",
    ),
    Mutant(
        "places what it has to refuse",
        LIFECYCLE,
        "    if refused is not None:\n        return Reject(",
        "    if False:\n        return Reject(",
        "I1",
    ),
    # The attempt and its end.
    Mutant(
        "waits for ever for pods that do not start",
        ATTEMPT,
        "    return admitted_at + s.policy.time_to_start(check.history.total)\n",
        "    return admitted_at + 1e9\n",
        "I5",
    ),
    Mutant(
        "does not see that a worker's Job is another one",
        ATTEMPT,
        "    if (removed := _removed(s, copy, check, timing)) is not None:\n        return removed\n",
        "",
        "I5",
    ),
    Mutant("tries without end", RETRY, "    if limit and history.total > limit:\n", "    if False:\n", "I5"),
    Mutant(
        "moves a job of a lost cluster that must run at most once",
        LOSS,
        "        case LossPolicy.AT_MOST_ONCE:\n            return None\n",
        "        case LossPolicy.AT_MOST_ONCE:\n            return lost\n",
        "I1",
    ),
    Mutant(
        "moves a leased job before its lease is over",
        LOSS,
        "            return max(lost, ended)\n",
        "            return lost\n",
        "I1",
    ),
    Mutant(
        "takes every silence for a loss",
        LOSS,
        "    lost = contact.lost_since + timing.worker_lost_timeout\n    match",
        "    lost = contact.lost_since\n    match",
        "I1",
    ),
    Mutant(
        "refuses a job as its stores show it",
        CONTROLLER,
        "                if not await self._still_refused(s):\n",
        "                if False:\n",
        "I5",
    ),
    Mutant(
        "leaves a lost cluster without time to confirm the withdrawal",
        LOSS,
        "    return max(moves, work.deleting_since + WITHDRAWAL_ANSWER)\n",
        "    return moves\n",
        "I2",
    ),
    Mutant(
        "withdraws a deactivated job before Kueue has evicted it",
        LIFECYCLE,
        "    may = w.admitted and (w.active or started)\n",
        "    may = w.admitted and w.active\n",
        "I3",
    ),
    Mutant(
        "forgets a heartbeat whose end was refused",
        ACTIONS,
        "            with suppress(NotFound):\n",
        "            with suppress(NotFound, Conflict):\n",
        "I5",
    ),
    # What is seen.
    Mutant(
        "finds a job by its name alone",
        VIEW,
        "            return job if job is not None and job.uid == workload.owner_uid else None\n",
        "            return job\n",
        "I5",
    ),
    Mutant(
        "believes any report about a job of that name",
        VIEW,
        "            if job is not None and job.cluster == copy.cluster and job.work_uid in own:\n",
        "            if job is not None:\n",
        "result",
    ),
    Mutant(
        "counts the pods' grace from the year 1970",
        VIEW,
        "        return self._works_gone_at.get(copy.uid)\n",
        "        return 0.0\n",
        "I2",
    ),
    # Room.
    Mutant(
        "gives the room of leaving jobs away",
        LEDGER,
        "    held = [Held(copy.workload_uid, copy.cluster, (copy.pod_set,)) for copy in copies]\n",
        "    held: list[Held] = []\n",
        "I4",
    ),
    Mutant(
        "gives the room of placed jobs away",
        LEDGER,
        "            if (workload.uid, cluster) not in carried:\n",
        "            if False:\n",
        "I4",
    ),
    Mutant(
        "ignores what was promised",
        PACKING,
        "        _promise(nodes, h, bound.get(h.workload_uid, 0))\n",
        "        pass\n",
        "I4",
    ),
    Mutant(
        "owes a promised pod that fits nowhere to one node alone",
        PACKING,
        "        for at in sorted(range(len(nodes)), key=by_room):\n",
        "        for at in sorted(range(len(nodes)), key=by_room)[:1]:\n",
        "I4",
    ),
    Mutant(
        "forgets a decision that is on its way",
        CONTROLLER,
        "choose(s, action, self._view, self._timing, self._assumed.values())\n",
        "choose(s, action, self._view, self._timing)\n",
        "I4",
    ),
    Mutant(
        "places on a cluster that is not usable",
        PLACEMENT,
        "        if cluster.refusal or report is None:\n",
        "        if report is None:\n",
        "I5",
    ),
    # Writes.
    Mutant(
        "creates by what its stores say",
        CONTROLLER,
        "        if not await self._still_so(s, action):\n            return LOOK_AGAIN\n",
        "",
        "I3",
    ),
    Mutant(
        "writes without leading", ACTIONS, "        if not self._may_write():\n", "        if False:\n", "I7"
    ),
    Mutant(
        "decides over a Workload that has changed",
        ACTIONS,
        '                    "uid": workload.uid,\n'
        '                    "resourceVersion": workload.resource_version,\n',
        '                    "uid": workload.uid,\n',
        "I5",
    ),
    Mutant(
        "does not write the history down",
        ACTIONS,
        "        failures = history if history is not None else check.history\n",
        "        failures = check.history\n",
        "I5",
    ),
    Mutant(
        "does not write the decision down",
        ACTIONS,
        "        if decision is not None:\n",
        "        if False:\n",
        "I5",
    ),
    # The copy and the status.
    Mutant(
        "makes copies that leave no tombstone",
        JOB,
        '            "finalizers": [keys.PODS_LEAVING],\n',
        "",
        "I2",
    ),
    Mutant(
        "carries the TTL",
        JOB,
        '    "activeDeadlineSeconds",\n)',
        '    "activeDeadlineSeconds",\n    "ttlSecondsAfterFinished",\n)',
        "I3",
    ),
    Mutant(
        "carries managedBy",
        JOB,
        '    "activeDeadlineSeconds",\n)',
        '    "activeDeadlineSeconds",\n    "managedBy",\n)',
        "I5",
    ),
    Mutant(
        "says that pods are active when they have ended",
        JOB,
        '{**_status(job), "active": 0, "ready": 0, "terminating": 0}',
        '{**_status(job), "ready": 0, "terminating": 0}',
        "I5",
    ),
    Mutant(
        "lets counters of pods fall",
        JOB,
        "        count = max(present.get(counter) or 0, wanted.get(counter) or 0)\n",
        "        count = wanted.get(counter) or 0\n",
        "I5",
    ),
    # Leading and watching.
    Mutant(
        "trusts its lease beyond its end",
        LEASE,
        "        return self._leading and self._remaining() > 0\n",
        "        return self._leading\n",
        "I7",
    ),
    Mutant(
        "counts its lease from the answer's arrival far into the future",
        LEASE,
        "        self._valid_until = sent + self._renew_deadline\n",
        "        self._valid_until = sent + 1000.0\n",
        "I7",
    ),
    Mutant(
        "takes a lease that is held",
        LEASE,
        "            or now - seen_or_none.since >= seen_or_none.duration\n",
        "            or True\n",
        "I7",
    ),
    Mutant(
        "does not list again after 410",
        INFORMER,
        "        except Gone:\n            self._relist_at = self._pace.clock()\n            raise\n",
        "        except Gone:\n            raise\n",
        "I5",
    ),
)
