"""A long conversation by answers without an address, and what others see of it (tests/converse).

Six clients run, each a process of its own. Alice and Bob converse by answers alone, Carol and Dave
by their main addresses, and Erin and Frank say nothing. All that a node, the directory or somebody
on the line sees of each of them is noted, and samples of it are compared.
"""
