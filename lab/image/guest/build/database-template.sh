#!/bin/sh
# Runs in the image's own tree at build time: makes the data directory from which every member starts.
# One real one-member Galera cluster gives it a history (UUID and position), so members that start from it agree.
set -e
export PATH=/usr/sbin:/usr/bin
template=/usr/share/portal/template
socket=/run/mysqld/mysqld.sock

ip link set lo up
install -d -o mysql -g mysql "$template" /run/mysqld
mariadb-install-db --defaults-file=/etc/portal/mariadb.cnf --datadir="$template" --user=mysql --wsrep-on=OFF \
    --auth-root-authentication-method=socket --skip-test-db --force > /run/install.log 2>&1 || { cat /run/install.log; exit 1; }

mariadbd --defaults-file=/etc/portal/mariadb.cnf --datadir="$template" --skip-networking --wsrep-notify-cmd= \
    --wsrep-new-cluster --wsrep-cluster-address=gcomm:// --wsrep-node-address=127.0.0.1 \
    --wsrep-provider-options="gmcast.listen_addr=tcp://127.0.0.1:4567; gcache.size=4M; pc.recovery=no" \
    --wsrep-cluster-name=template > /run/mariadbd.log 2>&1 &
server=$!
# It answers before it may be written to: what counts is that the cluster of one is formed.
until mariadb --socket="$socket" -Ne "SHOW STATUS LIKE 'wsrep_ready'" 2>/dev/null | grep -q 'ON$'; do
    kill -0 "$server" 2>/dev/null || { cat /run/mariadbd.log; exit 1; }
    sleep 0.1
done
mariadb --socket="$socket" < /usr/share/portal/schema.sql
kill "$server"
wait "$server" || { cat /run/mariadbd.log; exit 1; }

sed -i 's/^safe_to_bootstrap:.*/safe_to_bootstrap: 0/' "$template/grastate.dat"
grep -q '^seqno: *[0-9]' "$template/grastate.dat" || { cat /run/mariadbd.log; exit 1; }
rm -f "$template"/galera.cache "$template"/gvwstate.dat "$template"/*.err /run/*.log
