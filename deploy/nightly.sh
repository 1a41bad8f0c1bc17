#!/bin/sh
# A night's work: is the cluster fit, certify it, hold all records of these nights against the policy.
# Ends with 0 GO, 1 NO-GO, 2 UNKNOWN (evidence is missing), 3 could not run, 130 interrupted.
records=${DRAINPROOF_RECORDS:-/var/lib/drainproof}
settings=${DRAINPROOF_SETTINGS:-/etc/drainproof}
facts=$settings/target.toml
[ $# -gt 0 ] || set -- high_availability/test_drain.py

# What a night that was killed has left is undone before this one begins, also from another pod.
drainproof cleanup --target kubeconfig --target-facts "$facts" --runs "$records/runs" --yes || exit 3
drainproof preflight --target kubeconfig --target-facts "$facts" "$@" || exit 3

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
