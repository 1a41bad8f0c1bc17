#!/bin/sh
# A night's work: is the cluster fit, certify it, hold all records of these nights against the policy.
# Ends with 0 GO, 1 NO-GO, 2 UNKNOWN (evidence is missing), 3 could not run, 130 interrupted.
records=${DRAINPROOF_RECORDS:-/var/lib/drainproof}
settings=${DRAINPROOF_SETTINGS:-/etc/drainproof}
facts=$settings/target.toml
[ $# -gt 0 ] || set -- high_availability/test_drain.py

# What a night that was killed has left is undone before this one begins, also from another pod.
drainproof cleanup --target kubeconfig --target-facts "$facts" --runs "$records/runs" --yes || exit 3

# What certify would refuse is left out, so that the rest can run; the night is then no GO.
admitted=$records/admitted
rm -f "$admitted"
left_out=
drainproof preflight --target kubeconfig --target-facts "$facts" --admitted "$admitted" "$@" || left_out=yes
if [ -n "$left_out" ]; then
    [ -s "$admitted" ] || exit 3
    set -- "$@" --tests-from "$admitted"
    echo "nightly: not all that was asked for can run, see preflight above; what can is certified" >&2
fi

# The certification ends with its own verdict; the gate below judges it again, with those of the nights before.
drainproof certify --target kubeconfig --target-facts "$facts" --runs "$records/runs" "$@" &
certification=$!
trap 'signalled=yes; kill -TERM "$certification" 2>/dev/null' TERM INT
wait "$certification"
code=$?
# A trapped signal ends the wait and not the certification, which still has to undo what it did.
while [ -n "${signalled:-}" ]; do
    signalled=
    wait "$certification"
    again=$?
    [ "$again" -eq 127 ] || code=$again # 127: its end had been seen before the signal came
done
trap - TERM INT

newest=$(ls -td "$records"/runs/*/drainproof.prom 2>/dev/null | head -n 1)
if [ -n "$newest" ]; then
    mkdir -p "$records/textfile"
    cp "$newest" "$records/textfile/drainproof.prom.new"
    mv "$records/textfile/drainproof.prom.new" "$records/textfile/drainproof.prom"
fi
# Without a run of this night the gate would only tell of former ones.
[ "$code" -le 2 ] || exit "$code"
drainproof gate "$records/runs" --policy "$settings/policy.toml" --json "$records/gate.json"
answer=$?
# A refuted claim stands whatever was left out; anything else is no answer to all that was asked for.
if [ -n "$left_out" ] && [ "$answer" -ne 1 ]; then
    echo "nightly: could not run all that was asked for; the gate's own answer was $answer" >&2
    answer=3
fi
exit "$answer"
