"""The files of deploy/ have valid keys and agree with each other and with the package."""

import json
import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml

from forecast_assets.cli.app import cli
from forecast_assets.serving.limits import OPEN_PATHS
from forecast_assets.webserver.launch import main

ROOT = Path(__file__).parent.parent
SCHEMA = json.loads((Path(__file__).parent / "data" / "deploy_schema.json").read_text())
VALUES = yaml.safe_load((ROOT / "deploy" / "values.yaml").read_text())
MANIFESTS = [
    manifest
    for name in ("settings.yaml", "service.yaml")
    for manifest in yaml.safe_load_all((ROOT / "deploy" / name).read_text())
]
BY_KIND = {manifest["kind"]: manifest for manifest in MANIFESTS}
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text().replace("\\\n", " ")
GUIDE = (ROOT / "docs" / "kubernetes.md").read_text()
[USER_CODE] = VALUES["dagster-user-deployments"]["deployments"]
UI = VALUES["dagsterWebserver"]
POD = BY_KIND["Deployment"]["spec"]["template"]["spec"]
[CONTAINER] = POD["containers"]
AWS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"}
"""Read by botocore, below s3fs."""


def problems(content: object, kind: str) -> list[str]:
    validator = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": SCHEMA["$defs"]})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(content)]


def instructions(name: str) -> list[str]:
    """The arguments of each Dockerfile instruction of that name."""
    return re.findall(rf"^{name} +(.+)$", DOCKERFILE, flags=re.MULTILINE)


def pins(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {name.lower().replace("_", "-"): version for name, _, version in (line.partition("==") for line in lines)}


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest["kind"])
def test_a_manifest_has_only_keys_that_kubernetes_knows(manifest: dict[str, Any]) -> None:
    assert problems(manifest, manifest["kind"]) == []


def test_the_values_have_only_keys_that_the_chart_knows() -> None:
    assert problems(VALUES, "Values") == []


def test_a_mistyped_key_and_a_privileged_container_are_found() -> None:
    wrong = json.loads(json.dumps(BY_KIND["Deployment"]))
    wrong["spec"]["replica"] = wrong["spec"].pop("replicas")
    wrong["spec"]["template"]["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    found = "\n".join(problems(wrong, "Deployment"))
    assert "'replica' was unexpected" in found
    assert "$.spec.template.spec.containers[0].securityContext.allowPrivilegeEscalation: False was expected" in found


def test_every_variable_is_one_that_the_package_reads() -> None:
    named = set(BY_KIND["ConfigMap"]["data"]) | {entry["name"] for entry in (*CONTAINER["env"], *USER_CODE["env"])}
    source = (ROOT / "forecast_assets" / "resources" / "environment.py").read_text()
    read = set(re.findall(r'(?:os\.environ\.get|_variable)\("(\w+)"', source))
    assert named - AWS <= read


def test_what_a_pod_refers_to_is_there() -> None:
    maps = {entry["configMapRef"]["name"] for entry in CONTAINER["envFrom"]}
    maps |= {entry["name"] for entry in (*USER_CODE["envConfigMaps"], *UI["envConfigMaps"])}
    assert maps == {BY_KIND["ConfigMap"]["metadata"]["name"]}
    claims = {volume["persistentVolumeClaim"]["claimName"] for volume in USER_CODE["volumes"]}
    assert claims == {BY_KIND["PersistentVolumeClaim"]["metadata"]["name"]}
    for mounts, volumes in (
        (CONTAINER["volumeMounts"], POD["volumes"]),
        (USER_CODE["volumeMounts"], USER_CODE["volumes"]),
    ):
        assert {mount["name"] for mount in mounts} == {volume["name"] for volume in volumes}
    labels = BY_KIND["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert labels == BY_KIND["Deployment"]["spec"]["selector"]["matchLabels"] == BY_KIND["Service"]["spec"]["selector"]
    assert {port["targetPort"] for port in BY_KIND["Service"]["spec"]["ports"]} == {
        port["name"] for port in CONTAINER["ports"]
    }
    assert BY_KIND["ConfigMap"]["data"]["FORECAST_PANEL"] in {mount["mountPath"] for mount in USER_CODE["volumeMounts"]}


def test_the_guide_makes_every_secret_that_is_asked_for() -> None:
    made = {
        name: set(re.findall(r"--from-literal=([\w-]+)=", rest))
        for name, rest in re.findall(r"create secret generic (\S+)((?:[^\n]*\\\n)*[^\n]*)", GUIDE)
    }
    for entry in (*CONTAINER["env"], *USER_CODE["env"]):
        reference = entry["valueFrom"]["secretKeyRef"]
        assert reference.get("optional") or reference["key"] in made[reference["name"]]
    assert made[VALUES["global"]["postgresqlSecretName"]] == {"postgresql-password"}


def test_no_secret_stands_in_a_file() -> None:
    assert not [name for name in BY_KIND["ConfigMap"]["data"] if re.search("TOKEN|SECRET|PASSWORD|KEY", name)]
    assert "postgresqlPassword" not in VALUES["postgresql"]


def test_the_service_starts_by_its_command_line_and_its_probes_need_no_token() -> None:
    program, subcommand, *arguments = CONTAINER["args"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert program in project["project"]["scripts"]
    serve = cli.get_command(click.Context(cli), subcommand)
    assert serve is not None
    parsed = serve.make_context(subcommand, arguments).params
    assert (parsed["host"], parsed["port"]) == ("0.0.0.0", CONTAINER["ports"][0]["containerPort"])
    probes = {CONTAINER[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert probes == {"/health/live", "/health/ready"}
    assert probes <= OPEN_PATHS
    module = project["tool"]["dg"]["project"]["code_location_target_module"]
    assert USER_CODE["dagsterApiGrpcArgs"] == ["-m", module]


def test_user_code_and_service_run_the_image_that_the_guide_builds_as_its_own_user() -> None:
    image = USER_CODE["image"]
    assert CONTAINER["image"] == f"{image['repository']}:{image['tag']}"
    assert f"docker build -f deploy/Dockerfile -t {CONTAINER['image']} ." in GUIDE
    [user] = instructions("USER")
    assert int(user) == POD["securityContext"]["runAsUser"] == USER_CODE["podSecurityContext"]["runAsUser"] > 0
    assert UI["podSecurityContext"]["runAsUser"] == int(user)
    assert f"--uid {user} " in instructions("RUN")[0]
    assert instructions("FROM") == ["python:3.11-slim"]
    assert not instructions("ENTRYPOINT")  # the chart gives arguments and no command
    assert not instructions("ADD")


def test_the_charts_webserver_is_the_one_behind_the_guard() -> None:
    program = "forecast-assets-webserver"
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts[program] == f"{main.__module__}:{main.__name__}"
    replaced = f"ln -sf /usr/local/bin/{program} /usr/local/bin/dagster-webserver"
    assert instructions("RUN")[-1] == replaced  # after pip, which brings Dagster's own
    assert UI["image"] == USER_CODE["image"]
    assert UI["service"]["port"] > 1024  # the image's user may bind no lower one
    assert "svc/dagster-webserver 3000" in GUIDE


def test_the_workflow_runs_what_ci_runs_and_may_write_nothing() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
    commands = [[step["run"] for step in job["steps"] if "run" in step] for job in workflow["jobs"].values()]
    assert [each[-1] for each in commands] == [".ci/run", "make audit"]
    used = {
        step["uses"].partition("@")[0] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step
    }
    assert used == {"actions/checkout"}
    assert "secrets." not in json.dumps(workflow)
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o100
    interpreters = {job["container"] for job in workflow["jobs"].values()}
    assert interpreters == {"python:3.11-bookworm"}  # as the image's


def test_the_image_is_built_from_files_that_are_there_and_not_ignored() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = [line.removeprefix("!") for line in lines if line.startswith("!")]
    for source in copied():
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, pattern) for pattern in allowed), source
    assert set(copied()) == set(allowed)


def copied() -> Iterator[str]:
    for arguments in instructions("COPY"):
        *sources, _ = arguments.split()
        yield from sources


def test_the_image_installs_the_locks_and_a_cpu_build_of_torch_first() -> None:
    [install] = [run for run in instructions("RUN") if "-r requirements.lock" in run]
    first, second = install.split("&&")
    assert '--index-url "$TORCH_INDEX" "$(grep \'^torch==\' requirements.lock)"' in first
    assert "-r requirements.lock -r deploy/requirements.lock" in second
    assert instructions("ARG") == ["TORCH_INDEX=https://download.pytorch.org/whl/cpu"]


def test_what_kubernetes_adds_to_the_lock_belongs_to_the_same_release_of_dagster() -> None:
    lock, added = pins(ROOT / "requirements.lock"), pins(ROOT / "deploy" / "requirements.lock")
    assert not set(lock) & set(added)
    assert added["dagster-k8s"] == lock["dagster-postgres"]
    assert f"--version {lock['dagster']} -f deploy/values.yaml" in GUIDE
    assert f"version {lock['dagster']}." in (ROOT / "deploy" / "values.yaml").read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("extra", "packages"), [("chronos", {"chronos-forecasting", "transformers"}), ("fev", {"fev"})]
)
def test_what_an_extra_adds_to_the_lock_is_no_other_release_of_what_is_in_it(extra: str, packages: set[str]) -> None:
    lock, added = pins(ROOT / "requirements.lock"), pins(ROOT / f"requirements-{extra}.lock")
    assert not set(lock) & set(added)
    assert packages <= set(added)


def test_pools_monitoring_and_retries_are_those_of_one_machine() -> None:
    local = yaml.safe_load((ROOT / "forecast_assets" / "conf" / "dagster.yaml").read_text())
    pools, chart = local["concurrency"]["pools"], VALUES["concurrency"]["pools"]
    assert (pools["granularity"], pools["default_limit"]) == (chart["granularity"], chart["defaultLimit"])
    assert VALUES["concurrency"]["enabled"]
    assert VALUES["dagsterDaemon"]["runMonitoring"]["enabled"] == local["run_monitoring"]["enabled"]
    assert VALUES["dagsterDaemon"]["runRetries"]["maxRetries"] == local["run_retries"]["max_retries"]
