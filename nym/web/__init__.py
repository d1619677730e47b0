"""The pages that browsers show: a client's own, and a directory's dashboard.

Each page is a folder of plain files: HTML, CSS and ES modules, as a browser loads them. `common` is
for both. `vendor` has what others wrote; its README.md says where each file comes from.
"""
