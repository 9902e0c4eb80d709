"""Merkle trees of RFC 9162: the roots that the reference implementation publishes, and proofs of all sizes."""

import pytest

from trading.ledger.merkle import EMPTY_ROOT, Tree, extends, includes, leaf_hash

# Inputs and roots of the tests of certificate transparency's reference implementation.
ENTRIES = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    bytes(range(0x50, 0x58)),
    bytes(range(0x60, 0x70)),
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
MOST = 128


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree(leaf_hash(bytes([number])) for number in range(MOST))


def test_roots_are_those_that_the_reference_publishes() -> None:
    assert Tree().root() == EMPTY_ROOT
    tree = Tree()
    for entry, root in zip(ENTRIES, ROOTS, strict=True):
        tree.append(leaf_hash(entry))
        assert tree.root().hex() == root
    assert [tree.root(size).hex() for size in range(1, 9)] == ROOTS


def test_every_leaf_is_proven_to_be_in_every_size(tree: Tree) -> None:
    for size in range(1, MOST + 1):
        root = tree.root(size)
        for index in range(size):
            proof = tree.inclusion(index, size)
            assert includes(tree.leaf(index), index, size, proof, root)


def test_a_forged_inclusion_proof_is_none(tree: Tree) -> None:
    for size in (1, 2, 3, 7, 64, 100):
        root = tree.root(size)
        for index in range(size):
            proof, leaf = tree.inclusion(index, size), tree.leaf(index)
            assert not includes(leaf_hash(b"other"), index, size, proof, root)
            assert not includes(leaf, (index + 1) % size, size, proof, root) or size == 1
            assert not includes(leaf, index, size, [*proof, root], root)
            assert not includes(leaf, size, size, proof, root)
            for place in range(len(proof)):
                forged = [*proof[:place], leaf_hash(b"x"), *proof[place + 1 :]]
                assert not includes(leaf, index, size, forged, root)
                assert not includes(leaf, index, size, proof[:place], root)


def test_every_size_is_proven_to_be_the_beginning_of_every_larger_one(tree: Tree) -> None:
    roots = [tree.root(size) for size in range(MOST + 1)]
    for size in range(1, MOST + 1):
        for earlier in range(size + 1):
            proof = tree.consistency(earlier, size)
            assert extends(earlier, roots[earlier], size, roots[size], proof)


def test_a_forged_consistency_proof_is_none(tree: Tree) -> None:
    roots = [tree.root(size) for size in range(MOST + 1)]
    other = Tree([leaf_hash(b"rewritten"), *(tree.leaf(index) for index in range(1, MOST))])
    for size in (2, 3, 8, 13, 64, 99):
        for earlier in range(1, size):
            proof = tree.consistency(earlier, size)
            assert not extends(earlier, other.root(earlier), size, roots[size], proof)
            assert not extends(earlier, roots[earlier], size, other.root(size), proof)
            rewritten = other.consistency(earlier, size)
            assert not extends(earlier, roots[earlier], size, other.root(size), rewritten)
            assert not extends(size, roots[size], earlier, roots[earlier], proof)
            for place in range(len(proof)):
                assert not extends(
                    earlier, roots[earlier], size, roots[size], proof[:place] + proof[place + 1 :]
                )


def test_what_was_never_there_has_no_proof(tree: Tree) -> None:
    for ask in (
        lambda: tree.root(MOST + 1),
        lambda: tree.inclusion(5, 5),
        lambda: tree.inclusion(0, MOST + 1),
        lambda: tree.consistency(6, 5),
        lambda: tree.consistency(-1, 5),
    ):
        with pytest.raises(ValueError):
            ask()
