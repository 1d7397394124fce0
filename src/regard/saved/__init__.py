"""Folders that are complete under their name, or not there at all.

* `folder`: a kind of folder that something is saved as, checked before the work is done.
* `contents`: what lies in a folder, and whether all of it was saved there.
* `claim`: a place on disk that one process writes at a time.
"""
