"""Manifests for Kubernetes for the nodes of a planned network, and the Kustomization of each host.

A host of the plan is a machine of a cluster, and its address one of a load balancer. All hosts can
be in one cluster, or each in one of its own.
"""

from collections.abc import Iterator

from nym import __version__
from nym.config.file import CONFIG_FILE
from nym.network import manifests
from nym.network.containers import USER, image
from nym.network.generated import File
from nym.network.homes import ALLOWED, Home, Network
from nym.network.plan import Host
from nym.network.readme import readme
from nym.signing import IDENTITY_FILE
from nym.wire.addresses import is_host_name, is_ipv6

_HOW = """\
## Clusters

Each host has a folder here, with the settings and identities of its nodes, `nodes.yaml` with a
Service and StatefulSets, and `kustomization.yaml`, which puts all of that together. Read them; they
are short. A cluster needs Kubernetes 1.28 or newer, volumes, and a load balancer that gives the
Service of each host the address in the plan:

{addresses}

The image has nothing but the program, so that has to be the one file. Put it into this folder, and
the image where the cluster finds it:

```sh
docker build --tag registry.example/nym-client:{version} .
docker push registry.example/nym-client:{version}
```

Say where that is in a folder of your own, beside this one. Other changes of yours belong there as
well, such as the class of the volumes. Its `kustomization.yaml`:

```yaml
resources:
  - ../NAME-OF-THIS-FOLDER
images:
  - name: nym-client
    newName: registry.example/nym-client
```

Say which machine of the cluster is which host, and start everything:

```sh
kubectl label node MACHINE nym-host={host}
kubectl apply -k YOUR-FOLDER
```

If hosts are in clusters of their own, give each operator the folder of their host, `namespace.yaml`
and the image, on a way that nobody else can read. They run `kubectl apply -f namespace.yaml`, and
name `../{host}` or the like in their own `kustomization.yaml`.

After a change of the plan, or with a newer program, do the same again. Nodes whose settings have
changed are started anew, and a directory whose list has. Delete those that the plan has no more:
`kubectl -n {namespace} delete statefulset NAME`. Their volumes stay.

`kubectl -n {namespace} get pods` shows the nodes, and `kubectl -n {namespace} logs {id}-0` what one
says. This asks a node whether all is well:

```sh
kubectl -n {namespace} exec {id}-0 -- /nym-client check --id {id}
```

"""


def files(network: Network) -> Iterator[File]:
    """What clusters need, for all hosts and for each."""
    plan, namespace = network.plan, f"nym-{network.plan.network.name}"
    addresses = "\n".join(f"- {host.name}: {host.ip}" for host in plan.hosts)
    first = network.homes[0].node
    yield readme(
        network,
        "Kubernetes",
        _HOW.format(
            addresses=addresses,
            version=__version__,
            host=first.host,
            namespace=namespace,
            id=first.id,
        ),
    )
    hosts = "\n".join(f'  - "{host.name}"' for host in plan.hosts)
    yield File("kustomization.yaml", manifests.ALL.format(network=plan.network.name, hosts=hosts))
    yield File("namespace.yaml", manifests.NAMESPACE.format(namespace=namespace))
    groups = sorted({_group(host, home) for host in plan.hosts for home in network.of(host)})
    budgets = [manifests.BUDGET.format(group=group, namespace=namespace) for group in groups]
    yield File("budgets.yaml", manifests.BUDGETS.format(budgets="".join(budgets)))
    yield from image()
    for host in plan.hosts:
        yield File(f"{host.name}/kustomization.yaml", _kustomization(network, host, namespace))
        nodes = "".join(_stateful_set(host, home) for home in network.of(host))
        yield File(f"{host.name}/nodes.yaml", _service(host) + nodes)


def _kustomization(network: Network, host: Host, namespace: str) -> str:
    settings, identities = [], []
    for home in network.of(host):
        names = [CONFIG_FILE]
        if network.has_list(home.node):
            names.append(ALLOWED)
        settings.append(_generated(home, "settings", names))
        if home.is_ours:
            identities.append(_generated(home, "identity", [IDENTITY_FILE]))
    text = manifests.HOST.format(host=host.name, namespace=namespace, settings="\n".join(settings))
    return text + (manifests.SECRETS.format(identities="\n".join(identities)) if identities else "")


def _generated(home: Home, what: str, names: list[str]) -> str:
    files = "\n".join(f"      - {home.folder}/{name}" for name in names)
    return manifests.GENERATED.format(name=f"{home.node.id}-{what}", files=files)


def _service(host: Host) -> str:
    if is_host_name(host.ip):
        address = manifests.NAME.format(name=host.ip)
    else:
        family = "IPv6" if is_ipv6(host.ip) else "IPv4"
        address = manifests.ADDRESS.format(ip=host.ip, family=family)
    ports = "\n".join(
        f"    - name: {_port_name(name)}\n      port: {port}\n      targetPort: {_port_name(name)}"
        for name, port in host.ports().items()
    )
    return manifests.SERVICE.format(host=host.name, address=address, ports=ports)


def _stateful_set(host: Host, home: Home) -> str:
    node = home.node
    ports = "\n".join(
        f"            - name: {_port_name(name)}\n              containerPort: {port}"
        for name, port in host.ports_of(node.role).items()
    )
    return manifests.NODE.format(
        id=node.id,
        host=host.name,
        role=node.role,
        group=_group(host, home),
        folder=f"data/{home.folder}",
        identity_file=IDENTITY_FILE,
        user=USER,
        version=__version__,
        ports=ports,
        mount=manifests.MOUNT if home.is_ours else "",
        security=manifests.SECURITY,
        secret=manifests.IDENTITY.format(id=node.id) if home.is_ours else "",
        storage="10Gi" if node.role == "provider" else "1Gi",
    )


def _group(host: Host, home: Home) -> str:
    """Those that can stand in for a node."""
    plurals = {
        "directory": "directories",
        "mixnode": f"mixnodes-of-layer-{host.settings.layer}",
        "provider": "providers",
    }
    return plurals[home.node.role]


def _port_name(setting: str) -> str:
    return setting.removesuffix("_port")
