"""Merkle trees of RFC 9162 (RFC 6962 before it), section 2.1: roots, inclusion proofs and consistency proofs.

Pure: leaves are hashes, and trees are lists of them. A prover keeps the leaves; a verifier needs only roots and proofs.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

LEAF, NODE = b"\x00", b"\x01"
EMPTY_ROOT = sha256().digest()


def leaf_hash(entry: bytes) -> bytes:
    return sha256(LEAF + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(NODE + left + right).digest()


class Tree:
    """A Merkle tree that grows: hashes of all full subtrees, by height, so that proofs cost the depth.

    Level ``h`` holds the hash of each run of ``2**h`` leaves that is whole.
    """

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        for leaf in leaves:
            self.append(leaf)

    @property
    def size(self) -> int:
        return len(self._levels[0])

    def append(self, leaf: bytes) -> int:
        """Its index."""
        index, height, hash_ = self.size, 0, leaf
        self._levels[0].append(hash_)
        while len(self._levels[height]) % 2 == 0:
            left, right = self._levels[height][-2:]
            hash_ = node_hash(left, right)
            height += 1
            if height == len(self._levels):
                self._levels.append([])
            self._levels[height].append(hash_)
        return index

    def leaf(self, index: int) -> bytes:
        return self._levels[0][index]

    def root(self, size: int | None = None) -> bytes:
        """Of the first ``size`` leaves; of all, if it is not given. Raises ValueError where there are not so many."""
        size = self.size if size is None else size
        self._check(size)
        return self._hash(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """PATH(index, D[size]): the hashes beside the way from a leaf to the root, the lowest first."""
        self._check(size)
        if not 0 <= index < size:
            raise ValueError(f"leaf {index} is none of the first {size}")
        return self._path(index, 0, size)

    def consistency(self, earlier: int, size: int) -> list[bytes]:
        """PROOF(earlier, D[size]): that the tree of ``earlier`` leaves is a beginning of that of ``size``."""
        self._check(size)
        if not 0 <= earlier <= size:
            raise ValueError(f"a log of {size} entries was never one of {earlier}")
        if earlier in (0, size):
            return []
        return self._subproof(earlier, 0, size, is_whole=True)

    def _check(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise ValueError(f"there are {self.size} entries, and not {size}")

    def _hash(self, first: int, size: int) -> bytes:
        """Of ``size`` leaves from ``first`` on, which is a multiple of the least power of two that is as large."""
        if size & (size - 1) == 0:
            height = size.bit_length() - 1
            return self._levels[height][first >> height]
        left = _split(size)
        return node_hash(self._hash(first, left), self._hash(first + left, size - left))

    def _path(self, index: int, first: int, size: int) -> list[bytes]:
        if size == 1:
            return []
        left = _split(size)
        if index < left:
            beside = self._hash(first + left, size - left)
            return [*self._path(index, first, left), beside]
        beside = self._hash(first, left)
        return [*self._path(index - left, first + left, size - left), beside]

    def _subproof(self, earlier: int, first: int, size: int, *, is_whole: bool) -> list[bytes]:
        if earlier == size:
            return [] if is_whole else [self._hash(first, size)]
        left = _split(size)
        if earlier <= left:
            rest = self._subproof(earlier, first, left, is_whole=is_whole)
            return [*rest, self._hash(first + left, size - left)]
        rest = self._subproof(earlier - left, first + left, size - left, is_whole=False)
        return [*rest, self._hash(first, left)]


def _split(size: int) -> int:
    """The largest power of two below ``size``."""
    return 1 << (size - 1).bit_length() - 1


def includes(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a proof shows that a leaf is in a tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, hash_ = index, size - 1, leaf
    for beside in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            hash_ = node_hash(beside, hash_)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            hash_ = node_hash(hash_, beside)
        at, last = at >> 1, last >> 1
    return last == 0 and hash_ == root


def extends(
    earlier: int, earlier_root: bytes, size: int, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether a proof shows that a tree is the beginning of another (RFC 9162, 2.1.4.2)."""
    if earlier > size or earlier < 0:
        return False
    if earlier == size:
        return not proof and earlier_root == root
    if earlier == 0:
        return not proof and earlier_root == EMPTY_ROOT
    path = list(proof)
    if earlier & (earlier - 1) == 0:
        path.insert(0, earlier_root)
    if not path:
        return False
    at, last = earlier - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = path[0]
    for beside in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before, after = node_hash(beside, before), node_hash(beside, after)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            after = node_hash(after, beside)
        at, last = at >> 1, last >> 1
    return last == 0 and before == earlier_root and after == root
