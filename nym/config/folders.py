"""The folder of all programs of a kind, in the folder of this user's configuration."""

FOLDERS = {
    "client": "clients",
    "mixnode": "mixnodes",
    "provider": "providers",
    "directory": "directories",
}
