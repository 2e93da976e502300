"""The study that is run on one GPU: complete stages are kept when the time is over."""

import json
import signal
import time

from benchmarks import gpu_study


def test_an_output_is_computed_and_written(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(gpu_study, "OUTPUTS", ("table4-cifar10",))
    monkeypatch.setattr(gpu_study, "SEEDS", (2,))
    arguments = ["--scale", "smoke", "--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs"), "--workers", "1"]
    assert gpu_study.main(arguments) == 2
    results = json.loads((tmp_path / "out" / "table4-cifar10.json").read_text(encoding="utf-8"))
    assert "table4-cifar10" in results["outputs"]
    assert "6 trained, 0 present, 0 failed" in capsys.readouterr().out


def test_it_stops_when_the_time_is_over(tmp_path, monkeypatch, capsys) -> None:
    def endless(*arguments, **options) -> None:
        time.sleep(60)

    # as of a command that a shell runs in the background
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    monkeypatch.setattr(gpu_study, "run_study", endless)
    try:
        assert gpu_study.main(["--out", str(tmp_path), "--minutes", "0.001"]) == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert "stopped after" in capsys.readouterr().out
