"""Every command of cnnctl but the following of jobs (test_follow.py) and what goes to and from files (test_files.py): what it
asks the server, what it prints, how it ends."""
import json
import os
import re
import shlex
import shutil
import ssl
import subprocess
import unittest

from case import CNNCTL, Case, PATIENCE, WINDOWS, job
from fake_server import Answer, FakeServer, event, problem, stream


class Usage(Case):
    def test_wrong_command_lines(self):
        for words, complaint in [
                ([], "a command is missing"),
                (["frobnicate"], 'no command "frobnicate"'),
                (["--frob", "jobs"], "unknown option --frob"),
                (["jobs", "--frob"], "unknown option --frob"),
                (["jobs", "-x"], "unknown option -x"),
                (["jobs", "7"], 'does not take "7"'),
                (["jobs", "--limit"], "needs a value"),
                (["jobs", "--limit", "many"], "whole number"),
                (["jobs", "--limit", "-1"], "whole number"),
                (["jobs", "--json=yes"], "takes no value"),
                (["show"], "show needs ID"),
                (["show", "seven"], "not the number of a job"),
                (["show", "7", "8"], 'does not take "8"'),
                (["follow", "7", "--wait", "1.5"], "whole number"),
                (["train", "--arch", "lenet"], "--arch and --dataset"),
                (["train", "--dataset", "x"], "--arch and --dataset"),
                (["train", "--arch", "a", "--dataset", "d", "--no-strict"], "goes with --init-from"),
                (["train", "--arch", "a", "--dataset", "d", "--save-best", "val_acc"], "goes with --save-as"),
                (["train", "--arch", "a", "--dataset", "d", "--schedule", "step"], "needs --step-epochs"),
                (["delete", "model"], "delete needs model|dataset|job NAME"),
                (["delete", "device", "7"], "model, dataset or job"),
                (["curve", "7", "-o", "curve.png"], ".svg, .csv or .json"),
                (["train", "--arch", "a", "--dataset", "d", "--lr", "nan"], "takes a number"),
                (["train", "--arch", "a", "--dataset", "d", "--lr", "1e999"], "takes a number"),
                (["train", "--arch", "a", "--dataset", "d", "--lr", ""], "--lr is empty"),
                (["train", "--arch", "a", "--dataset", "d", "--resize", "224"], "height and a width"),
                (["train", "--arch", "nothere.json", "--dataset", "d"], "nothere.json"),
                (["summary", "lenet", "--input", "1x2x"], "sizes like"),
                (["summary", "lenet", "--input", "224x224"], "channels, height and width"),
                (["submit", "nothere.json"], "nothere.json"),
                (["import", "name", "nothere"], "nothere"),
                (["classify", "model"], "classify needs MODEL FILE"),
                (["curve", "7", "--json", "--csv", "x"], "does not go with"),
                (["help", "frobnicate"], 'no command "frobnicate"'),
                (["--url", "ftp://x", "jobs"], "not the address of a server"),
                (["--token", "a\nb: c", "jobs"], "control character")]:
            with self.subTest(words=words):
                out, err = self.cnnctl(*words, status=2)
                self.assertEqual(out, "")
                self.assertIn(complaint, err)
                self.assertTrue(err.startswith("cnnctl: "), err)
        self.assertEqual(self.server.requests, [])

    def test_help(self):
        out, err = self.cnnctl("help", env={"CNND_URL": "nonsense"})
        lines = out.split("Commands\n")[1].split("\n\n")[0].splitlines()
        commands = [line.split()[0] for line in lines if line[2] != " "]
        for line in lines:  # the texts stand in a column
            self.assertRegex(line, r"^.{26} \S|^.{27,}\.\.\.$")
        self.assertEqual(err, "")
        self.assertEqual(commands, (
            "train submit jobs show follow cancel pause resume curve result classify map summary datasets import models export upload "
            "delete devices help").split())
        for command in commands:
            text, _ = self.cnnctl("help", command)
            self.assertTrue(text.startswith(f"Usage: cnnctl {command}"), text)
            self.assertEqual(self.cnnctl(command, "--help")[0], out if command == "help" else text)
        self.assertEqual(self.cnnctl("--help")[0], out)

    def test_help_fits_a_terminal(self):
        out = self.cnnctl("help")[0]
        commands = re.findall(r"^  ([a-z]+)", out.split("Commands\n")[1].split("\n\n")[0], re.M)
        self.assertIn("train", commands)
        for words in [["help"]] + [["help", command] for command in commands]:
            for line in self.cnnctl(*words)[0].splitlines():
                self.assertLessEqual(len(line), 100, line)

    def test_version(self):
        self.assertRegex(self.cnnctl("--version")[0], r"^cnnctl \d+\.\d+\.\d+\n$")

    def test_options_in_every_form(self):
        self.server.on("GET", "/v1/jobs?limit=5&state=failed", {"jobs": []})
        for words in (["jobs", "--limit", "5", "--state=failed"], ["jobs", "-n", "5", "--state", "failed"],
                      ["--url", self.server.url, "jobs", "-n5", "--state", "failed"],
                      ["jobs", "--limit", "9", "--limit", "5", "--state", "failed"]):
            self.cnnctl(*words)
        self.assertEqual(len(self.server.asked("GET", "/v1/jobs?limit=5&state=failed")), 4)


class Connection(Case):
    def test_no_server(self):
        url = self.server.url
        self.server.stop()
        for words in (["jobs"], ["submit", self.write("j.json", "{}")], ["export", "m", "f"], ["cancel", "1", "2"],
                      ["classify", "m", self.write("x.png", "x")]):
            with self.subTest(words=words):
                out, err = self.cnnctl(*words, status=3, env={"CNND_URL": url})
                self.assertEqual(out, "")
                self.assertIn(f"no server answers at {url}", err)
        self.server = FakeServer()

    @unittest.skipIf(WINDOWS, "WinHTTP knows no Unix sockets")
    def test_unix_socket(self):
        path = os.path.join(self.dir, "s ock")
        server = FakeServer(path=path)
        server.on("GET", "/v1/devices", {"devices": []})
        self.cnnctl("devices", env={"CNND_URL": "unix:" + path})
        self.cnnctl("devices", "--url", "unix:" + path, env={"CNND_URL": None})
        self.assertEqual(len(server.requests), 2)
        server.stop()
        for left in (path, os.path.join(self.dir, "none")):
            _, err = self.cnnctl("devices", status=3, env={"CNND_URL": "unix:" + left})
            self.assertRegex(err, rf"no server answers at unix:{left}: (Connection refused|No such file or directory)\n")

    def test_token(self):
        self.server.on("GET", "/v1/devices", {"devices": []})
        self.cnnctl("devices", env={"CNND_TOKEN": "s3cret"})
        self.cnnctl("devices", "--token", "other", env={"CNND_TOKEN": "s3cret"})
        self.cnnctl("devices")
        self.assertEqual([r.headers["Authorization"] for r in self.server.requests],
                         ["Bearer s3cret", "Bearer other", None])

    @unittest.skipIf(WINDOWS, "Windows has its own list")
    @unittest.skipUnless(shutil.which("openssl"), "openssl, which makes the certificate, is not installed")
    def test_an_authority_of_the_labs_own(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"],
                       check=True, capture_output=True, cwd=self.dir)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(self.dir, "cert.pem"), os.path.join(self.dir, "key.pem"))
        self.server.server.socket = context.wrap_socket(self.server.server.socket, server_side=True)
        self.server.on("GET", "/v1/devices", {"devices": []})
        url = self.server.url.replace("http:", "https:")
        err = self.cnnctl("devices", status=3, env={"CNND_URL": url, "SSL_CERT_FILE": None})[1]
        self.assertRegex(err, f"{url} is not trusted: .*certificate.*SSL_CERT_FILE")
        self.cnnctl("devices", env={"CNND_URL": url, "SSL_CERT_FILE": "cert.pem"})

    def test_a_proxy_is_not_asked_for_loopback(self):
        self.server.on("GET", "/v1/devices", {"devices": []})
        self.cnnctl("devices", env={"http_proxy": "http://127.0.0.1:1"})

    def test_a_base_path(self):
        self.server.on("GET", "/lab/cnnd/v1/devices", {"devices": []})
        self.cnnctl("devices", "--url", self.server.url + "/lab/cnnd/")


class Problems(Case):
    def test_detail_and_pointer(self):
        self.server.on("POST", "/v1/jobs", problem(
            422, "kernel_size 11 is larger than the padded input 5x5", "/architecture/layers/7/kernel_size"))
        out, err = self.cnnctl("submit", "-", status=1, input=b"{}")
        self.assertEqual(out, "")
        self.assertEqual(err, "cnnctl: kernel_size 11 is larger than the padded input 5x5 "
                              "(at /architecture/layers/7/kernel_size)\n")

    def test_answers_of_something_else(self):
        for answer, complaint in [
                (Answer(502, "<html>bad gateway</html>", "text/html"), "status 502"),
                (Answer(401, "", "text/plain"), "asks for a token\n        give a token by CNND_TOKEN or --token"),
                (problem(401, "that token is not in force"), "in force\n        give a token by CNND_TOKEN or --token"),
                (Answer(500, "{broken", "application/problem+json"), "status 500"),
                (Answer(403, {"title": "not yours"}, "application/problem+json"), "not yours"),
                (Answer(200, "<html>hello</html>", "text/html"), "is not cnnd"),
                (Answer(200, ""), "is not cnnd")]:
            with self.subTest(complaint=complaint):
                self.server.on("GET", "/v1/devices", answer)
                self.assertIn(complaint, self.cnnctl("devices", status=1)[1])

    def test_text_is_made_safe(self):
        self.server.on("GET", "/v1/devices", problem(404, "no \u001b[31mred\u0007 \u009b2J \u202eevil", "/a\nb"))
        self.assertEqual(self.cnnctl("devices", status=1)[1], "cnnctl: no ?[31mred? ?2J ?evil (at /a?b)\n")


class Train(Case):
    def submitted(self):
        return json.loads(self.server.asked("POST", "/v1/jobs")[-1].body)

    def test_the_job_that_options_make(self):
        self.server.on("POST", "/v1/jobs", Answer(201, job()))
        self.cnnctl("train", "--arch", "bn-lenet", "--dataset", "fashion-mnist", "--epochs", 10, "--lr", "0.1")
        self.assertEqual(self.submitted(), {
            "type": "train", "architecture": "bn-lenet", "dataset": "fashion-mnist", "epochs": 10,
            "optimizer": {"name": "sgd", "lr": 0.1}})
        out, _ = self.cnnctl(
            "train", "--arch", "vgg", "--dataset", "d", "--batch", 64, "--seed", 3, "--optimizer", "adam", "--lr=1e-3",
            "--weight-decay", "1e-4", "--momentum", "0.9", "--name", "a name", "--save-as", "m", "--init-from", "base",
            "--max-steps", 50, "--report-every", 1, "--limit", 600, "--val-limit", 100, "--resize", "224x200",
            "--no-shuffle")
        self.assertEqual(self.submitted(), {
            "type": "train", "architecture": "vgg", "name": "a name", "batch_size": 64, "seed": 3, "save_as": "m",
            "dataset": {"name": "d", "limit": 600, "val_limit": 100, "resize": [224, 200]},
            "optimizer": {"name": "adam", "lr": 0.001, "weight_decay": 0.0001, "momentum": 0.9},
            "init": {"from": "base"}, "max_steps": 50, "report_every": 1, "shuffle": False})
        self.assertEqual(out, "job 7\n")
        self.cnnctl("train", "--arch", "lenet", "--dataset", "d", "--schedule", "cosine", "--warmup", "0.5",
                    "--gradient-clip", 1, "--init", "kaiming_uniform")
        self.assertEqual(self.submitted(), {
            "type": "train", "architecture": "lenet", "dataset": "d", "init": {"name": "kaiming_uniform"},
            "optimizer": {"gradient_clip": 1, "schedule": {"name": "cosine", "warmup_epochs": 0.5}}})
        self.cnnctl("train", "--arch", "lenet", "--dataset", "d", "--warmup", 2)
        self.assertEqual(self.submitted()["optimizer"], {"schedule": {"name": "constant", "warmup_epochs": 2}})
        self.cnnctl("train", "--arch", "lenet", "--dataset", "d", "--step-epochs", 3, "--gamma", 0.5)
        self.assertEqual(self.submitted()["optimizer"], {"schedule": {"name": "step", "step_epochs": 3, "gamma": 0.5}})
        self.cnnctl("train", "--arch", "lenet", "--dataset", "d", "--init-from", "base", "--no-strict")
        self.assertEqual(self.submitted()["init"], {"from": "base", "strict": False})
        self.cnnctl("train", "--arch", "lenet", "--dataset", "d", "--init", "normal", "--init-from", "base", status=2)
        self.cnnctl("train", "--arch", "lenet", "--dataset", "d", "--save-as", "m", "--save-best", "val_loss")
        self.assertEqual(self.submitted(), {
            "type": "train", "architecture": "lenet", "dataset": "d", "save_as": "m", "save_best": "val_loss"})

    def test_a_job_that_keeps_no_model(self):
        self.server.on("POST", "/v1/jobs", Answer(201, job()))
        words = ["train", "--arch", "lenet", "--dataset", "d"]
        self.assertEqual(self.cnnctl(*words)[1], "cnnctl: this job keeps no model; --save-as NAME keeps it\n")
        self.assertEqual(self.cnnctl(*words, "--save-as", "m")[1], "")

    def test_an_architecture_of_a_file(self):
        self.server.on("POST", "/v1/jobs", Answer(201, job()))
        net = {"layers": [{"type": "linear", "out_features": 10}]}
        self.cnnctl("train", "--arch", self.write("net.json", json.dumps(net)), "--dataset", "d")
        self.assertEqual(self.submitted()["architecture"], net)
        self.assertIn("byte", self.cnnctl("train", "--arch", self.write("bad.json", "{,}"), "--dataset", "d", status=2)[1])

    def test_train_and_follow(self):
        self.server.on("POST", "/v1/jobs", Answer(201, job()))
        self.server.on("GET", "/v1/jobs/7/events", stream(
            event(1, "train", {"step": 1, "loss": 2.3}), event(2, "end", {"state": "succeeded"})))
        out, _ = self.cnnctl("train", "--arch", "lenet", "--dataset", "d", "--follow")
        self.assertEqual(out, "job=7\nstep=1 loss=2.3\nend=succeeded\n")
        self.server.on("GET", "/v1/jobs/7/events", stream(event(1, "end", {"state": "failed", "error": "no"})))
        self.cnnctl("train", "--arch", "lenet", "--dataset", "d", "--follow", status=1)


class Submit(Case):
    def test_the_file_as_it_is(self):
        self.server.on("POST", "/v1/jobs", Answer(201, job()))
        text = '{"type": "train",\n "x": 1.50}'
        self.assertEqual(self.cnnctl("submit", self.write("job.json", text))[0], "job 7\n")
        self.assertEqual(self.cnnctl("submit", "-", input=text.encode())[0], "job 7\n")
        for request in self.server.requests:
            self.assertEqual(request.body.decode(), text)
            self.assertEqual(request.headers["Content-Type"], "application/json")

    def test_json_prints_the_answer(self):
        body = json.dumps(job(), indent=3)
        self.server.on("POST", "/v1/jobs", Answer(201, body))
        self.assertEqual(self.cnnctl("submit", "-", "--json", input=b"{}")[0], body + "\n")

    def test_a_lost_answer_makes_no_second_job(self):
        self.server.on("POST", "/v1/jobs", Answer(hang_up=True), Answer(hang_up=True), Answer(201, job()))
        self.assertEqual(self.cnnctl("submit", "-", input=b"{}")[0], "job 7\n")
        keys = [r.headers["Idempotency-Key"] for r in self.server.requests]
        self.assertEqual(len(keys), 3)
        self.assertEqual(len(set(keys)), 1)
        self.assertGreaterEqual(len(keys[0]), 32)
        self.cnnctl("submit", "-", input=b"{}")
        self.assertNotEqual(self.server.requests[-1].headers["Idempotency-Key"], keys[0])

    def test_a_refused_job_is_not_tried_again(self):
        self.server.on("POST", "/v1/jobs", problem(503, "draining", headers={"Retry-After": "5"}))
        self.assertEqual(self.cnnctl("submit", "-", status=1, input=b"{}")[1], "cnnctl: draining\n")
        self.assertEqual(len(self.server.requests), 1)


class Tables(Case):
    def test_jobs(self):
        self.server.on("GET", "/v1/jobs?limit=20", {"jobs": [
            job(112, "queued", name="zweiter Versuch mit ö", progress={"epoch": 0, "step": 0, "steps": 100},
                metrics={"train_loss": None}),
            job(7, "succeeded", progress={"epoch": 10, "step": 4690, "steps": 4690}),
            job(6, "failed", type="classify", name="\u001b[2J", request={"dataset": "x"}, metrics={}, progress={})]})
        out, _ = self.cnnctl("jobs")
        age = out.splitlines()[1].split("  ")[-1].strip()
        self.assertColumns(out, [
            ["ID", "NAME", "NETWORK", "DATA SET", "USER", "STATE", "DONE", "LOSS", "ACCURACY", "SUBMITTED"],
            ["112", "zweiter Versuch mit ö", "bn-lenet", "fashion-mnist", "ada", "queued", "0.0 %", "", "", age],
            ["7", "first try", "bn-lenet", "fashion-mnist", "ada", "succeeded", "100.0 %", "0.6100", "76.5 %", age],
            ["6", "?[2J", "classify", "x", "ada", "failed", "", "", "", age]])
        self.assertNotIn("\x1b", out)

    def test_a_list_that_was_cut_short_goes_on(self):
        self.server.on("GET", "/v1/jobs?limit=5&user=ada", {"jobs": [job(9), job(8)], "before": 8})
        self.server.on("GET", "/v1/jobs?limit=3&user=ada&before=8", {"jobs": [job(6)], "before": 6})
        self.server.on("GET", "/v1/jobs?limit=2&user=ada&before=6", {"jobs": [job(3)]})
        out, _ = self.cnnctl("jobs", "--limit", 5, "--user", "ada")
        self.assertEqual([line.split()[0] for line in out.splitlines()], ["ID", "9", "8", "6", "3"])
        self.server.on("GET", "/v1/jobs?limit=2&user=ada&before=6", {"jobs": [], "before": 6})
        self.assertEqual(self.cnnctl("jobs", "--limit", 5, "--user", "ada")[0], "\n".join(out.splitlines()[:4]) + "\n")
        self.assertEqual(len(self.server.asked("GET", "/v1/jobs?limit=2&user=ada&before=6")), 2)

    def test_lists_in_parts(self):
        """By name, as many parts as there are; a server that does not go on is not asked for ever."""
        for command, more in (("models", {}), ("datasets", {"state": "ready"})):
            path = "/v1/" + command
            self.server.on("GET", path, {command: [{"name": "a", **more}, {"name": "b b", **more}], "after": "b b"})
            self.server.on("GET", path + "?after=b%20b", {command: [{"name": "c", **more}], "after": "c"})
            self.server.on("GET", path + "?after=c", {command: [{"name": "d", **more}]})
            out, _ = self.cnnctl(command)
            self.assertEqual([line.split("  ")[0] for line in out.splitlines()], ["NAME", "a", "b b", "c", "d"])
            parts = [json.loads(line) for line in self.cnnctl("--json", command)[0].splitlines()]
            self.assertEqual([x["name"] for part in parts for x in part[command]], ["a", "b b", "c", "d"])
            self.server.on("GET", path + "?after=c", {command: [], "after": "c"})
            self.assertEqual(len(self.cnnctl(command)[0].splitlines()), 4)

    def test_devices(self):
        device = {"id": "0:0", "name": "pthread-haswell", "vendor": "v", "driver": "3.1", "type": "cpu",
                  "memory": 5 << 30, "state": "busy", "job": 7, "reason": None, "selftest": None}
        self.server.on("GET", "/v1/devices", {"devices": [
            device, {**device, "id": "1:12", "state": "quarantined", "job": None, "reason": "died three times"}],
            "platforms": [{"platform": 0, "driver": "/a.icd", "state": "found", "devices": 1, "reason": None},
                          {"platform": 2, "driver": "/b.icd", "state": "failed", "devices": 0, "reason": "it hung"}]})
        self.assertColumns(self.cnnctl("devices")[0], [
            ["ID", "NAME", "TYPE", "MEMORY", "STATE", "JOB", "DRIVER", "REASON"],
            ["0:0", "pthread-haswell", "cpu", "5.00 GiB", "busy", "7", "3.1", ""],
            ["1:12", "pthread-haswell", "cpu", "5.00 GiB", "quarantined", "", "3.1", "died three times"],
            ["2", "", "", "", "failed", "", "/b.icd", "it hung"]])

    def test_datasets(self):
        self.server.on("GET", "/v1/datasets", {"datasets": [
            {"name": "fashion-mnist", "state": "ready", "shape": [1, 28, 28], "num_classes": 10, "train": 60000,
             "val": 10000, "bytes": 55173120, "source": "IDX", "error": None},
            {"name": "grid", "state": "failed", "user": "anna", "error": "no images"}]})
        self.assertColumns(self.cnnctl("datasets")[0], [
            ["NAME", "STATE", "IMAGE", "CLASSES", "TRAIN", "VALIDATION", "SIZE", "USER", "SOURCE"],
            ["fashion-mnist", "ready", "1x28x28", "10", "60,000", "10,000", "52.6 MiB", "", "IDX"],
            ["grid", "failed", "", "", "", "", "", "anna", "no images"]])

    def test_one_dataset(self):
        self.server.on("GET", "/v1/datasets/grid", {"name": "grid", "classes": ["bar", "hole ö"], "train": 1300, "val": 7,
                                                    "class_counts": {"train": [1200, 100], "val": [7, 0]}})
        self.assertColumns("\n".join(line for line in self.cnnctl("datasets", "grid")[0].splitlines() if "───" not in line), [
            ["CLASS", "TRAIN", "VALIDATION"], ["bar", "1,200", "7"], ["hole ö", "100", "0"], ["all", "1,300", "7"]])
        self.server.on("GET", "/v1/datasets/grid/sheet", Answer(200, b"\x89PNG", "image/png"))
        path = os.path.join(self.dir, "sheet.png")
        self.cnnctl("datasets", "grid", "--sheet", path)
        with open(path, "rb") as f:
            self.assertEqual(f.read(), b"\x89PNG")
        self.assertIn("name of a data set", self.cnnctl("datasets", "--sheet", path, status=2)[1])
        self.server.on("GET", "/v1/datasets/none", Answer(404, {"status": 404, "detail": "there is no data set none"}))
        self.assertIn("no data set none", self.cnnctl("datasets", "none", status=1)[1])

    def test_models(self):
        model = {"name": "my-lenet", "architecture": "bn-lenet", "input": [1, 28, 28], "classes": ["a", "b"],
                 "metrics": {"val_acc": 0.877}, "job": 7, "user": "ada", "bytes": 178944,
                 "created_at": "2020-01-01T00:00:00Z"}
        self.server.on("GET", "/v1/models", {"models": [
            model, {**model, "name": "b", "architecture": {"layers": []}, "job": None, "metrics": None,
                    "error": "the file of model 'b' cannot be read"}]})
        out, err = self.cnnctl("models")
        self.assertEqual(err, "cnnctl: the file of model 'b' cannot be read\n")
        age = out.splitlines()[1].split("  ")[-1].strip()
        self.assertRegex(age, r"^\d+ d ago$")
        self.assertColumns(out, [
            ["NAME", "NETWORK", "INPUT", "CLASSES", "ACCURACY", "SIZE", "JOB", "USER", "MADE"],
            ["my-lenet", "bn-lenet", "1x28x28", "2", "87.7 %", "175 KiB", "7", "ada", age],
            ["b", "own", "1x28x28", "2", "", "175 KiB", "", "ada", age]])

    SUMMARY = {"input": [2, 1, 28, 28], "layers": [
        {"name": "net.0", "type": "conv2d", "block": "net", "output_shape": [2, 6, 28, 28], "parameters": 156,
         "flops": 470400, "bytes": 37632},
        {"name": "net.12", "type": "linear", "block": "net", "output_shape": [2, 10], "parameters": 61706,
         "flops": 123, "bytes": 80}],
        "totals": {"layers": 2, "parameters": 61862, "flops": 1.5e9, "bytes": 37712},
        "memory": {"training": 3 << 20, "inference": 1 << 20}}

    def test_summary(self):
        self.server.on("GET", "/v1/architectures/bn-lenet/summary?input=1x28x28&batch=2&num_classes=10", self.SUMMARY)
        out, _ = self.cnnctl("summary", "bn-lenet", "--input", "1x28x28", "--batch", 2, "--num-classes", 10)
        table, memory = out.split("\n\n")
        lines = table.split("\n")
        self.assertEqual(set(lines.pop(3)), {"─"})
        self.assertColumns("\n".join(lines), [
            ["LAYER", "TYPE", "OUTPUT", "PARAMETERS", "FLOPS", "BYTES"],
            ["net.0", "conv2d", "2 × 6 × 28 × 28", "156", "470 k", "36.8 KiB"],
            ["net.12", "linear", "2 × 10", "61,706", "123", "80 B"],
            ["total", "", "", "61,862", "1.50 G", "36.8 KiB"]])
        self.assertEqual(memory, "memory on the device: 3.00 MiB training, 1.00 MiB inference\n")

    @unittest.skipIf(WINDOWS, "the console is set to UTF-8")
    def test_summary_without_utf8(self):
        self.server.on("GET", "/v1/architectures/a%20b%2Fc/summary", self.SUMMARY)
        out, _ = self.cnnctl("summary", "a b/c", env={"LANG": "C"})
        self.assertTrue(out.isascii(), out)
        self.assertIn("2 x 6 x 28 x 28", out)

    def test_summary_of_a_file(self):
        self.server.on("POST", "/v1/architectures/summary", self.SUMMARY)
        net = {"layers": [{"type": "relu"}]}
        self.cnnctl("summary", self.write("net.json", json.dumps(net)), "--input", "3x8x9", "--batch", 4)
        self.assertEqual(json.loads(self.server.requests[0].body),
                         {"architecture": net, "input": [3, 8, 9], "batch": 4})

    def test_json_is_what_the_server_sent(self):
        for words, path in [(["jobs"], "/v1/jobs?limit=20"), (["devices"], "/v1/devices"), (["models"], "/v1/models"),
                            (["datasets"], "/v1/datasets"), (["show", 7], "/v1/jobs/7"),
                            (["curve", 7], "/v1/jobs/7/curve"), (["summary", "x"], "/v1/architectures/x/summary")]:
            body = '{"x" :  [1.50, "\\u00e9"]}\n'
            self.server.on("GET", path, Answer(body=body))
            self.assertEqual(self.cnnctl(*words, "--json")[0], body)

    def test_a_full_disk_is_told(self):
        self.server.on("GET", "/v1/devices", {"devices": []})
        with open("/dev/full", "w") as full:
            self.assertIn("No space left", self.cnnctl("devices", status=1, stdout=full)[1])


@unittest.skipIf(WINDOWS, "there is no bash")
@unittest.skipUnless(shutil.which("bash"), "bash is not installed")
class Completion(Case):
    SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../client/cnnctl.bash")

    def completed(self, *words):
        """What TAB offers at the end of the last word."""
        line = ["cnnctl", *words]
        run = "set -u; source %s; COMP_WORDS=(%s); COMP_CWORD=%d; _cnnctl %s; printf '%%s\\n' \"${COMPREPLY[@]}\"" % (
            shlex.quote(self.SCRIPT), shlex.join(line), len(line) - 1, shlex.quote(CNNCTL[-1]))
        done = subprocess.run(["bash", "-c", run], env=self.environment(), capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_words(self):
        for words, offered in [(["da"], ["datasets"]), (["s"], ["submit", "show", "summary"]), (["help", "d"], ["datasets", "delete", "devices"]),
                               (["--url", "http://x", "--json", "res"], ["resume", "result"]), (["delete", ""], ["model", "dataset", "job"]),
                               (["--url", "http", ":", "//x", ":", "7420", "jobs", "--us"], ["--user"]), (["delete", "job", ""], []), (["classify", "m", ""], []), (["help", "jobs", ""], []),
                               (["jobs", "--st"], ["--state"]), (["train", "--st"], ["--step-epochs"]), (["--v"], ["--version"])]:
            self.assertEqual(self.completed(*words), offered, words)
        self.assertEqual(len(self.completed("")), 21)
        self.assertEqual(self.server.requests, [])


class Jobs(Case):
    def test_show(self):
        self.server.on("GET", "/v1/jobs/7", job(
            state="failed", error="out of device memory", finished_at="2026-11-23T08:02:46Z"))
        out, _ = self.cnnctl("show", 7)
        for line in ["job         7 first try", "state       failed on 0:0", "error       out of device memory",
                     "user        ada", "took        2:45",
                     "progress    step 704 of 4,690 (15.0 %), epoch 1.5", "train       loss 0.6100, accuracy 78.0 %",
                     "validation  loss 0.6500, accuracy 76.5 %", "speed       21,034 images/s",
                     "memory      11.8 MiB on the device, 128 images at a time", "note        batch_norm: micro",
                     "model       my-lenet"]:
            self.assertIn(line, out.splitlines())
        self.assertNotIn("best epoch", out)

    def test_show_the_best_epoch(self):
        for epoch, text in ((3, "3"), (2 + 1 / 3, "2.33")):
            self.server.on("GET", "/v1/jobs/7", job(metrics={"train_loss": 0.61, "train_acc": 0.78, "best_epoch": epoch}))
            self.assertIn("best epoch  " + text, self.cnnctl("show", 7)[0].splitlines())

    def test_show_a_job_that_waits(self):
        self.server.on("GET", "/v1/jobs/7", job(state="queued", queue={"position": 3, "reason": "2 jobs go before it"}))
        self.assertIn("waits       no. 3 in line: 2 jobs go before it", self.cnnctl("show", 7)[0].splitlines())
        self.server.on("GET", "/v1/jobs/7", job(state="queued", queue={"position": None, "reason": "no device fits"}))
        self.assertIn("waits       no device fits", self.cnnctl("show", 7)[0].splitlines())

    def test_show_a_classify_job(self):
        self.server.on("GET", "/v1/jobs/7", job(
            state="succeeded", type="classify", progress={"epoch": 0, "step": 10000, "steps": 10000}))
        self.assertIn("progress    image 10,000 of 10,000 (100.0 %)", self.cnnctl("show", 7)[0].splitlines())

    def test_delete(self):
        for path in ("/v1/models/my%20net", "/v1/datasets/grid", "/v1/datasets/holes", "/v1/jobs/7"):
            self.server.on("DELETE", path, Answer(204))
        self.assertEqual(self.cnnctl("delete", "model", "my net")[0], "model my net: deleted\n")
        self.assertEqual(self.cnnctl("delete", "job", 7)[0], "job 7: deleted\n")
        self.server.on("DELETE", "/v1/datasets/used", problem(409, "job 7 uses data set \"used\""))
        out, err = self.cnnctl("delete", "dataset", "grid", "used", "holes", status=1)
        self.assertEqual(out, "data set grid: deleted\ndata set holes: deleted\n")
        self.assertEqual(err, "cnnctl: job 7 uses data set \"used\"\n")
        self.assertEqual({r.body for r in self.server.requests}, {b""})

    def test_control(self):
        for word in ("cancel", "pause", "resume"):
            self.server.on("POST", f"/v1/jobs/7/{word}", Answer(202, job()))
            self.assertEqual(self.cnnctl(word, 7)[0], f"job 7: {word} asked for\n")
        self.server.on("POST", "/v1/jobs/8/cancel", problem(409, "job 8 has ended"))
        self.server.on("POST", "/v1/jobs/9/cancel", Answer(202, job(9)))
        out, err = self.cnnctl("cancel", 7, 8, 9, status=1)
        self.assertEqual(out, "job 7: cancel asked for\njob 9: cancel asked for\n")
        self.assertEqual(err, "cnnctl: job 8 has ended\n")


if __name__ == "__main__":
    unittest.main()
