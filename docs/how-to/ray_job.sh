#!/bin/bash
# Runs on every node of a job. Node 0 starts Ray's head and then the command; the others join until the head ends.
#
#   srun --ntasks-per-node=1 bash ray_job.sh eden-bench run --methods adam,random --tasks scr-heart --launcher ray
#
# Its own port and its own short folder keep it apart from other jobs of the same machines, and nothing is stopped but
# what it started ('ray stop' would end every cluster of this user).
set -u
job=${SLURM_JOB_ID:-$$} node=${SLURM_PROCID:-0} nodes=${SLURM_NTASKS:-1}
head=${HEAD:-$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)}
port=${PORT:-$((20000 + job % 20000))}
export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token   # the token in ~/.ray/auth_token keeps other users out
unset RAY_ADDRESS

if [ "$node" -ne 0 ]; then
    until (exec 3<>"/dev/tcp/$head/$port") 2>/dev/null; do sleep 1; done
    ray start --address="$head:$port" ${RAY_OPTIONS:-} --block
    exit 0   # it fails when the head goes, which is how every job ends; node 0 gives the exit code
fi

ray get-auth-token --generate > /dev/null
ray start --head --port="$port" --temp-dir="/tmp/ray-$job" --include-dashboard=false ${RAY_OPTIONS:-} --block &
ray=$!
trap 'kill $ray; wait $ray; rm -rf "/tmp/ray-$job"' EXIT
until (exec 3<>"/dev/tcp/$head/$port") 2>/dev/null; do sleep 1; done
python - "$head:$port" "$nodes" <<'END'
import sys, time
import ray

ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
while sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[2]):
    time.sleep(1)
END
"$@" --ray-address "$head:$port"
