"""The texts of manifests for Kubernetes, for str.format.

Names of hosts are quoted everywhere, because some would be something else in YAML, such as "on".
"""

NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata:
  name: {namespace}
  labels:
    # The strictest of the standards that Kubernetes has for pods. The nodes keep to it.
    pod-security.kubernetes.io/enforce: restricted
"""

ALL = """\
# All hosts of the network {network}, for one cluster: kubectl apply -k .
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - namespace.yaml
  - budgets.yaml
{hosts}
"""

BUDGETS = """\
# While machines of the cluster are drained, at most one node is away of those that stand in for
# each other. One that nothing stands in for is away as well, or the drain would wait for ever.
{budgets}"""

BUDGET = """\
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {group}
  namespace: {namespace}
spec:
  maxUnavailable: 1
  # One that doesn't work may always be moved.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      nym-group: {group}
"""

HOST = """\
# The nodes of {host}. To have them in a cluster of their own: kubectl apply -k {host}
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {namespace}
resources:
  - nodes.yaml
# The names get a hash of the content. So a node whose settings have changed is started anew.
configMapGenerator:
{settings}
"""

SECRETS = """\
# Here, only their owner can read these files. In the cluster, anybody can who may read Secrets in
# this namespace, or run pods in it.
secretGenerator:
{identities}
"""

GENERATED = """\
  - name: {name}
    files:
{files}"""

SERVICE = """\
# Where everybody finds the nodes of {host}: one address for all of them.
apiVersion: v1
kind: Service
metadata:
  name: "{host}"
spec:
  type: LoadBalancer
{address}  # Packets keep their source, which the nodes' limits for each source need.
  externalTrafficPolicy: Local
  selector:
    nym-host: "{host}"
  # Each goes to the pod that has a port of that name.
  ports:
{ports}
"""

ADDRESS = """\
  # The field is deprecated, but nothing in its place is understood by most load balancers. If yours
  # doesn't understand this either, it has an annotation for it.
  loadBalancerIP: "{ip}"
  ipFamilies: [{family}]
"""

NAME = """\
  # {name} has to stand for the address that the load balancer gives.
"""

NODE = """\
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {id}
spec:
  replicas: 1
  # Kubernetes wants a name here. Nobody uses the names in DNS that pods get from it.
  serviceName: "{host}"
  selector:
    matchLabels:
      app.kubernetes.io/instance: {id}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: nym-client
        app.kubernetes.io/instance: {id}
        nym-host: "{host}"
        nym-group: {group}
    spec:
      nodeSelector:
        nym-host: "{host}"
      # A node never talks to the cluster.
      automountServiceAccountToken: false
      enableServiceLinks: false
      # When a node stops, it goes on until clients know: for mixnode.farewell and ten seconds.
      # The Service hands it packets until then, because it has no other pod for them.
      terminationGracePeriodSeconds: 90
      securityContext:
        runAsNonRoot: true
        runAsUser: {user}
        runAsGroup: {user}
        # So that this user can write to the volume. The modes of files in it aren't changed later.
        fsGroup: {user}
        fsGroupChangePolicy: OnRootMismatch
        seccompProfile:
          type: RuntimeDefault
      initContainers:
        # The program uses only files that belong to the user that it runs as. Those of ConfigMaps
        # and Secrets never do, so they are copied to the volume. An identity that is there stays.
        - name: settings
          image: docker.io/library/busybox:1.37.0
          workingDir: /
          command:
            - sh
            - -euc
            - |
              umask 077
              folder={folder}
              mkdir -p $folder
              cp settings/* $folder
              if [ -e identity ] && [ ! -e $folder/{identity_file} ]; then
                cp identity/{identity_file} $folder/.identity
                mv $folder/.identity $folder/{identity_file}
              fi
          volumeMounts:
            - name: data
              mountPath: /data
            - name: settings
              mountPath: /settings
{mount}{security}
          resources:
            requests:
              cpu: 10m
              memory: 16Mi
            limits:
              memory: 64Mi
      containers:
        - name: {role}
          # From the Dockerfile in the main folder; README.md says how clusters get it.
          image: nym-client:{version}
          imagePullPolicy: IfNotPresent
          args: [{role}, --id, {id}]
          ports:
{ports}
          volumeMounts:
            - name: data
              mountPath: /data
          # `check --running` would also fail while no directory takes posts. But clients still use
          # the node then, so it must be neither restarted nor left out.
          startupProbe:
            exec:
              command: [/nym-client, status, --id, {id}]
            periodSeconds: 5
            timeoutSeconds: 20
            failureThreshold: 60
          readinessProbe:
            exec:
              command: [/nym-client, status, --id, {id}]
            periodSeconds: 20
            timeoutSeconds: 20
          livenessProbe:
            exec:
              command: [/nym-client, status, --id, {id}]
            periodSeconds: 60
            timeoutSeconds: 30
{security}
          # There is no limit of processor time: while a node is held back, its packets are late.
          resources:
            requests:
              cpu: 100m
              memory: 128Mi
            limits:
              memory: 1Gi
      volumes:
        - name: settings
          configMap:
            name: {id}-settings
{secret}  # The volume stays if the StatefulSet is deleted. Its size can't be changed here later.
  volumeClaimTemplates:
    - metadata:
        name: data
      spec:
        accessModes: [ReadWriteOnce]
        resources:
          requests:
            storage: {storage}
"""

SECURITY = """\
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]"""

MOUNT = """\
            - name: identity
              mountPath: /identity
"""

IDENTITY = """\
        - name: identity
          secret:
            secretName: {id}-identity
            defaultMode: 0440
"""
