#!/bin/sh
# Runs a command beside a Slurm of one node that lives as long as the command does. Daemons and command
# have a view of the file system of their own, in which /etc/slurm is the configuration written here:
# Snakemake's executor takes no other place.
#
#   unshare --mount slurm.sh FOLDER COMMAND...
set -eu
folder=$1
shift
host=$(hostname -s)
mkdir -p "$folder/etc" "$folder/state" "$folder/spool" "$folder/run" /etc/slurm
cat >"$folder/etc/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge.socket
SlurmctldPort=17817
SlurmdPort=17818
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
mount --bind "$folder/etc" /etc/slurm
head -c 1024 /dev/urandom >"$folder/munge.key"
chmod 600 "$folder/munge.key"
chmod 755 "$folder" "$folder/run"

stop() {
    for daemon in slurmd slurmctld munged; do
        pid=$(cat "$folder/run/$daemon.pid" 2>/dev/null) || continue
        kill "$pid" 2>/dev/null || continue
        tries=0
        while [ -e "$folder/run/$daemon.pid" ] && [ "$tries" -lt 100 ]; do
            tries=$((tries + 1))
            sleep 0.1
        done
    done
}
trap stop EXIT
munged --force --key-file="$folder/munge.key" --socket="$folder/run/munge.socket" \
    --pid-file="$folder/run/munged.pid" --log-file="$folder/munged.log" --seed-file="$folder/run/seed"
slurmctld
slurmd
# Until the node is there.
tries=0
until sinfo --noheader --format=%T | grep -q idle; do
    tries=$((tries + 1))
    if [ "$tries" -gt 60 ]; then
        echo "slurm.sh: no idle node" >&2
        cat "$folder"/*.log >&2
        exit 3
    fi
    sleep 0.5
done
"$@"
