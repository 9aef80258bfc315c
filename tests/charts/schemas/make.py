"""The schemas of the custom resources that the chart makes, from the types that @kubernetes-models publishes (MIT).

`python tests/charts/schemas/make.py` fetches them with npm and writes the files beside this one. Only `spec` is kept, without
prose; what a type does not name is refused.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
VERSIONS = {
    "cert-manager": "6.0.0",
    "external-secrets": "2.0.0",
    "gateway-api": "2.0.0",
    "prometheus-operator": "6.0.0",
}
KINDS = {
    "Certificate": ("cert-manager", "cert-manager.io/v1"),
    "Issuer": ("cert-manager", "cert-manager.io/v1"),
    "ExternalSecret": ("external-secrets", "external-secrets.io/v1"),
    "HTTPRoute": ("gateway-api", "gateway.networking.k8s.io/v1"),
    "GRPCRoute": ("gateway-api", "gateway.networking.k8s.io/v1"),
    "TLSRoute": ("gateway-api", "gateway.networking.k8s.io/v1"),
    "BackendTLSPolicy": ("gateway-api", "gateway.networking.k8s.io/v1"),
    "ServiceMonitor": ("prometheus-operator", "monitoring.coreos.com/v1"),
    "PodMonitor": ("prometheus-operator", "monitoring.coreos.com/v1"),
    "PrometheusRule": ("prometheus-operator", "monitoring.coreos.com/v1"),
}
# Of an issuer's many types, those that the chart makes.
SPECS = {"Issuer": 'Pick<NonNullable<IIssuer["spec"]>, "ca" | "selfSigned">'}
INSTALL = ("npm", "install", "--no-save", "--no-audit", "--no-fund", "--legacy-peer-deps", "--ignore-scripts")
TOOLS = ("ts-json-schema-generator@2", "typescript@5")
CONFIG = {"compilerOptions": {"moduleResolution": "bundler", "module": "esnext", "target": "es2020", "strict": True}}


def make(folder: Path) -> None:
    packages = [f"@kubernetes-models/{name}@{version}" for name, version in VERSIONS.items()]
    subprocess.run([*INSTALL, *packages, *TOOLS], cwd=folder, check=True)
    (folder / "tsconfig.json").write_text(json.dumps(CONFIG))
    for kind, (package, version) in KINDS.items():
        spec = SPECS.get(kind, f'NonNullable<I{kind}["spec"]>')
        imported = f'import type {{ I{kind} }} from "@kubernetes-models/{package}/{version}/{kind}";'
        (folder / "spec.ts").write_text(f"{imported}\nexport type Spec = {spec};\n")
        command = [
            "npx",
            "ts-json-schema-generator",
            "--path",
            "spec.ts",
            "--type",
            "Spec",
            "--tsconfig",
            "tsconfig.json",
        ]
        made = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        schema = {
            "$comment": f"@kubernetes-models/{package} {VERSIONS[package]}, {version}, MIT",
            **bare(json.loads(made.stdout)),
        }
        name = f"{version.replace('/', '_')}_{kind}.json"
        (HERE / name).write_text(json.dumps(shortened(schema), separators=(",", ":")) + "\n")


def bare(node: Any) -> Any:
    """Without prose; a property of that name stays."""
    if isinstance(node, list):
        return [bare(each) for each in node]
    if not isinstance(node, dict):
        return node
    prose = {"description", "$schema", "default", "deprecated"}
    return {key: bare(value) for key, value in node.items() if key not in prose or isinstance(value, dict)}


def shortened(schema: dict[str, Any]) -> dict[str, Any]:
    """Definitions by number."""
    text, names = json.dumps(schema), list(schema["definitions"])
    for number, name in enumerate(names):
        text = text.replace(json.dumps(f"#/definitions/{name}"), json.dumps(f"#/definitions/{number}"))
    read: dict[str, Any] = json.loads(text)
    read["definitions"] = {str(number): read["definitions"][name] for number, name in enumerate(names)}
    return read


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        make(Path(temporary))
