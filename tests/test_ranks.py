"""Training on several devices: which rank a process is, who is missed, and what each part is."""

import os
import signal
import socket
import threading
from multiprocessing import Pipe

import pytest
import torch

from imil.errors import SettingsError
from imil.settings import resolve
from imil.training.ranks import meeting
from imil.training.ranks.channel import Door, Failed, Hello, Peer, connect
from imil.training.ranks.meeting import come, open_meeting, rendezvous_seconds
from imil.training.ranks.placement import Placement, find_placement, place
from imil.training.ranks.sharded_model import shard
from imil.training.ranks.team import Team
from imil.training.ranks.watch import RankEnded, Watch

TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "node3",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
}
SLURM = {
    "SLURM_JOB_ID": "41",
    "SLURM_STEP_ID": "2",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "gpu[03-04]",
}


def test_without_a_launcher_one_machine_starts_its_own_ranks():
    assert find_placement(1, 1, {}) == Placement(0, 1, 0)
    assert find_placement(3, 1, {}) == Placement(0, 3, 0)


def test_torchrun_says_the_rank_and_the_numbers():
    settings = resolve({"data": "films.csv"})
    placed, placement = place(settings, TORCHRUN)
    assert placement == Placement(5, 8, 1, "node3", 29500, launcher_listens=True)
    assert (placed.devices, placed.nodes) == (4, 2)


def test_srun_says_the_rank_where_several_devices_are_asked_for():
    assert find_placement(2, 2, SLURM) == Placement(3, 4, 1, "gpu03", 20_043)
    address = SLURM | {"MASTER_ADDR": "gpu03-ib", "MASTER_PORT": "4000"}
    assert find_placement(2, 2, address) == Placement(3, 4, 1, "gpu03-ib", 4000)


def test_variables_of_slurm_change_nothing_where_one_device_is_asked_for():
    assert find_placement(1, 1, SLURM) == Placement(0, 1, 0)


@pytest.mark.parametrize(
    ("asked", "environment", "says"),
    [
        ((1, 2), {}, "--nodes 2 needs 2 processes on 2 machines, which imil cannot start itself"),
        ((3, 1), SLURM, "srun started 4 tasks, and --devices 3 needs 3: give srun --ntasks=3"),
        ((3, 1), TORCHRUN, "the launcher started 8 processes .* ask for 3"),
    ],
)
def test_another_number_than_the_launcher_s_is_refused(asked, environment, says):
    with pytest.raises(SettingsError, match=says):
        find_placement(*asked, environment)


def test_ranks_that_do_not_come_are_named_in_one_sentence():
    door = Door("127.0.0.1", b"key")
    with pytest.raises(SettingsError, match="of 3 ranks, 1, 2 did not come within 0 seconds"):
        door.wait_for(range(1, 3), 0)
    with pytest.raises(SettingsError, match="the process of rank 2 ended"):
        door.wait_for(range(1, 3), 600, lambda: "the process of rank 2 ended with 1")
    door.close()


def test_rank_0_that_does_not_come_is_missed_in_one_sentence(monkeypatch):
    monkeypatch.setenv("IMIL_RENDEZVOUS_SECONDS", "1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(SettingsError, match="rank 1 of 2 waited 1 seconds for rank 0"):
        come(Placement(1, 2, 1, "127.0.0.1", port))
    monkeypatch.setenv("IMIL_RENDEZVOUS_SECONDS", "soon")
    with pytest.raises(SettingsError, match="'soon': give a number of seconds"):
        rendezvous_seconds()


def test_ranks_end_with_rank_0_s_sentence_where_it_ends_before_they_meet(monkeypatch):
    monkeypatch.setattr(meeting, "_opened", False)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    heard = []

    def wait(rank):
        with pytest.raises(SettingsError) as caught:
            come(Placement(rank, 3, rank, "127.0.0.1", port))
        heard.append(str(caught.value))

    ranks = [threading.Thread(target=wait, args=(rank,)) for rank in (1, 2)]
    for rank in ranks:
        rank.start()
    with pytest.raises(SettingsError, match="runs/films exists"):
        with meeting.telling_others(Placement(0, 3, 0, "127.0.0.1", port)):
            raise SettingsError("runs/films exists: give another --out")
    for rank in ranks:
        rank.join()
    said = "rank 0 ended before the ranks met: runs/films exists: give another --out"
    assert heard == [said, said]


def test_rank_0_tells_nobody_once_it_has_opened_the_meeting(monkeypatch, tmp_path):
    monkeypatch.setattr(meeting, "_opened", False)
    monkeypatch.setattr(meeting, "_tell", lambda *_: pytest.fail("told"))
    open_meeting(Placement(0, 2, 0), tmp_path / "ranks").door.close()
    with pytest.raises(SettingsError, match="later"):
        with meeting.telling_others(Placement(0, 2, 0, "127.0.0.1", 1)):
            raise SettingsError("later")


def test_who_does_not_know_the_key_is_not_let_in():
    door = Door("127.0.0.1", b"key")
    stranger = socket.create_connection(("127.0.0.1", door.port))
    stranger.sendall(b"\0\0\0\3GET")
    stranger.shutdown(socket.SHUT_WR)
    with pytest.raises(SettingsError, match="of 2 ranks, 1 did not come"):
        door.wait_for(range(1, 2), 0)
    stranger.close()
    door.close()
    with pytest.raises(SettingsError, match="rank 1 cannot reach rank 0"):
        connect("127.0.0.1", door.port, b"key", 1, 1)


def test_every_image_of_a_batch_is_one_rank_s():
    for n, size in ((7, 3), (8, 2), (6, 3)):
        parts = [Team(rank, size, torch.device("cpu")).part(n) for rank in range(size)]
        assert [i for part in parts for i in range(n)[part]] == list(range(n))
        lengths = [part.stop - part.start for part in parts]
        assert max(lengths) - min(lengths) <= 1


def test_shards_are_whole_batches_in_order():
    for n, batch, size in ((41, 4, 3), (5, 8, 3), (0, 4, 2), (24, 4, 2)):
        shards = [shard(n, batch, rank, size) for rank in range(size)]
        assert [i for one in shards for i in one] == list(range(n))
        assert all(one.start % batch == 0 for one in shards if one)


def watched(*ends):
    """The sentence about ranks 1, 2 …, whose connections are these."""
    peers = {i: Peer(Hello(i, "node1", 100 + i), end) for i, end in enumerate(ends, 1)}
    said = []
    watch = Watch(peers, said.append)
    try:  # the interrupt may come before `start` returns
        watch.start()
        signal.pause()
    except RankEnded:
        assert said == [watch.sentence]  # it is told before the main thread is interrupted
    finally:
        watch.stop()
    return watch.sentence


def test_a_killed_rank_interrupts_whatever_rank_0_waits_for():
    ends = [Pipe() for _ in range(2)]
    ends[0][1].send(Failed("RuntimeError: Connection closed by peer", own=False))  # follows from it
    ends[1][1].close()
    says = watched(*(mine for mine, _ in ends))
    assert says == "the process of rank 2 (process 102 on node1) ended (killed, or out of memory)"
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL


def test_a_rank_that_fails_says_why():
    mine, theirs = Pipe()
    theirs.send(Failed("the films are not there", own=True))
    theirs.close()
    assert watched(mine) == "rank 1 (process 101 on node1) failed: the films are not there"


def test_the_batch_must_have_two_images_for_each_device(tmp_path):
    from imil.training.run_classifier import check_batch_size

    with pytest.raises(SettingsError, match=r"--batch-size 5 is shared by 3 devices.* give 6"):
        check_batch_size(range(100), 5, 3)
    check_batch_size(range(100), 6, 3)


def test_devices_beyond_those_of_the_machine_are_refused(monkeypatch):
    from imil.training.ranks.children import check_devices

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    settings = resolve({"data": "films.csv", "device": "cuda"})
    with pytest.raises(SettingsError, match="this machine has 1 GPU: give as many or fewer"):
        check_devices(settings, 2)
    check_devices(settings.model_copy(update={"device": "cpu"}), os.cpu_count() + 1)
