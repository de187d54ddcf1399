"""A SLURM cluster of one node on this machine: real daemons in a folder of their own, on free ports, as root."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from tools import require_tool

NODE = socket.gethostname().split(".")[0]  # slurmctld refuses to start under another name
TESTS = Path(__file__).parent
PACKAGE = TESTS.parent
TOOLS = ("sbatch", "slurmctld", "slurmd", "munged")
# Partition `high` preempts jobs of `low`. Two jobs fit on the node. A job that SLURM put back into the queue begins
# only when its credential has expired: after 10 seconds here, two minutes by default.
CONF = """
ClusterName=mer
SlurmctldHost={node}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.s,cred_expire=10
CredType=cred/munge
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/ctld.pid
SlurmdPidFile={root}/d.pid
SlurmctldLogFile={root}/ctld.log
SlurmdLogFile={root}/d.log
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
KillWait=2
SlurmdTimeout=10
InactiveLimit=0
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
NodeName={node} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=low Nodes={node} Default=YES PriorityTier=1 MaxTime=120 State=UP
PartitionName=high Nodes={node} PriorityTier=10 MaxTime=120 State=UP
"""


class Cluster:
    """The daemons; `node` can be killed and started again."""

    def __init__(self, root):
        self.root = root
        self.running = {}

    def start(self, name, *command):
        log = (self.root / f"{name}.out").open("ab")
        self.running[name] = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        log.close()

    def start_controller(self, *options):
        self.start("slurmctld", shutil.which("slurmctld"), "-D", "-i", *options)

    def start_node(self):
        self.start("slurmd", shutil.which("slurmd"), "-D", "-N", NODE)

    def kill_node(self):
        """Kill the daemon of the node and all processes of its jobs, as a power cut does."""
        self.stop("slurmd", signal.SIGKILL)
        jobs = [process for process in psutil.process_iter() if self.is_of_job(process)]
        steps = {parent for process in jobs for parent in process.parents() if parent.name() == "slurmstepd"}
        for process in [*steps, *jobs]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def is_of_job(self, process):
        """Whether a process belongs to a job of this cluster."""
        with suppress(psutil.Error):
            found = process.environ()
            return found.get("SLURM_CONF") == str(self.root / "slurm.conf") and "SLURM_JOB_ID" in found
        return False

    def stop(self, name, number=signal.SIGTERM):
        process = self.running.pop(name)
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def end_jobs(self):
        """Cancel all jobs of this cluster, and wait until their processes have ended."""
        until = time.monotonic() + 20
        while subprocess.run(["squeue", "-h"], capture_output=True, check=True).stdout and time.monotonic() < until:
            subprocess.run(["scancel", "--user=root"], check=True)
            subprocess.run(["scancel", "--user=root", "--signal=KILL"], check=False)
            time.sleep(0.3)

    def wait_until_up(self, seconds=30):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            done = subprocess.run(["sinfo", "-h", "-p", "low", "-o", "%T"], capture_output=True, text=True)
            if done.stdout.strip() in ("idle", "mixed", "allocated"):
                return
            time.sleep(0.2)
        logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in self.root.glob("*.out"))
        pytest.fail(f"the SLURM cluster did not start: {done.stdout} {done.stderr}\n{logs}")


def free_ports(n):
    held = [socket.socket() for _ in range(n)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


@contextmanager
def slurm_cluster():
    for tool in TOOLS:
        require_tool(tool)
    if os.geteuid() != 0:
        pytest.skip("SLURM's daemons are started as root")
    root = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # a socket's path has at most 107 characters
    cluster = Cluster(root)
    try:
        for folder in ("state", "spool"):
            (root / folder).mkdir()
        root.chmod(0o755)  # munged refuses a folder that others may write to, and that they can't enter
        key = root / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        controller, daemon = free_ports(2)
        conf = root / "slurm.conf"
        conf.write_text(CONF.format(node=NODE, root=root, controller=controller, daemon=daemon))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", str(conf))
            patch.setenv("PYTHONPATH", f"{PACKAGE}:{TESTS}")  # of the jobs
            cluster.start(
                *("munged", shutil.which("munged"), "--force", "--foreground", f"--socket={root}/munge.s"),
                *(f"--key-file={key}", f"--pid-file={root}/munge.pid", f"--log-file={root}/munge.log"),
                f"--seed-file={root}/munge.seed",
            )
            cluster.start_controller("-c")
            cluster.start_node()
            cluster.wait_until_up()
            yield cluster
            cluster.end_jobs()
    finally:
        for name in reversed(list(cluster.running)):
            cluster.stop(name)
        shutil.rmtree(root, ignore_errors=True)
