//! What a kernel for matrix units is compiled for, and what follows from it.

use cubecl::ir::{ElemType, FloatKind, UIntKind};

use super::super::Form;

/// Elements of a vector of shared memory.
pub const LINE: usize = 4;

/// Halves beyond a line of shared memory, so that columns fall on different banks; lines stay multiples of 16 bytes,
/// as matrix loads require.
const PAD: usize = 8;

/// Fewest columns of queries that are staged at a time.
const FEWEST: usize = 16;

/// Most keys in a row that one unit weighs.
const STRIPE: usize = 16;

/// What a kernel for matrix units is compiled for besides its [`Form`](super::Form).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Units {
    /// Edge of the matrices: 8 or 16, a divisor of the head's width.
    pub edge: usize,
    /// Units of a plane: a multiple or a divisor of `rows`.
    pub plane: usize,
    /// Planes of a cube.
    pub planes: usize,
    /// Queries of a plane, a multiple of 16.
    pub rows: usize,
    /// Keys of a block, a multiple of 32.
    pub keys: usize,
    /// Whether halves are moved in pairs, as u32: 16 bytes a vector, where matrices may be loaded from such.
    pub packed: bool,
    /// Whether the planes of a cube scale their results at the same time, for drivers that take a plane's barrier
    /// for the cube's.
    pub together: bool,
}

impl Units {
    /// Queries of a cube.
    pub const fn tile(self) -> usize {
        self.planes * self.rows
    }

    /// Units of a cube.
    pub const fn all(self) -> usize {
        self.planes * self.plane
    }

    /// Bytes of shared memory of a cube for heads of width `d`: queries or a block of keys and values, scores,
    /// weights, factors, what units tell each other and flags.
    pub const fn shared_bytes(self, d: usize) -> usize {
        let lines = self.operand_lines(d) + self.weight_lines();
        2 * self.halves() * lines
            + 16 * self.score_vectors()
            + 4 * self.tile() * (1 + self.sharers())
            + 4 * self.planes
    }

    /// What is computed with, and what tensors and shared memory hold.
    pub const fn elems(self) -> [ElemType; 2] {
        let half = ElemType::Float(FloatKind::F16);
        [half, if self.packed { ElemType::UInt(UIntKind::U32) } else { half }]
    }

    /// Halves of a vector.
    pub const fn halves(self) -> usize {
        if self.packed { 2 * LINE } else { LINE }
    }

    /// Vectors from one line of so many halves to the next.
    pub(super) const fn pitch(self, columns: usize) -> usize {
        (columns + PAD) / self.halves()
    }

    /// Vectors that a unit takes to registers of a block's keys, and of its values.
    pub(super) const fn fetched(self, d: usize) -> usize {
        (self.keys * d / self.halves()).div_ceil(self.all())
    }

    /// Whether the next block is on its way while one is worked on: where which one that is, is known, its vectors are
    /// taken as they are, and each unit has as many, few enough for its registers.
    pub(super) const fn ahead(self, form: Form) -> bool {
        let whole = (self.keys * form.d / self.halves()).is_multiple_of(self.all());
        !form.rotate && !form.window && whole && self.fetched(form.d) <= 4
    }

    /// Vectors of the staged operands.
    pub(super) const fn operand_lines(self, d: usize) -> usize {
        let (block, queries) = (2 * self.keys * self.pitch(d), self.tile() * self.pitch(FEWEST));
        if block > queries { block } else { queries }
    }

    /// Columns of queries staged at a time: an even part of `d` that fits where keys and values are.
    pub(super) const fn query_columns(self, d: usize) -> usize {
        let mut parts = 1;
        while parts < d / FEWEST
            && (!(d / FEWEST).is_multiple_of(parts)
                || self.tile() * self.pitch(d / parts) > self.operand_lines(d))
        {
            parts += 1;
        }
        d / parts
    }

    /// Vectors of four from one row of scores to the next.
    pub(super) const fn score_pitch(self) -> usize {
        self.keys / 4 + 1
    }

    pub(super) const fn score_vectors(self) -> usize {
        self.tile() * self.score_pitch()
    }

    /// Vectors of the weights.
    pub(super) const fn weight_lines(self) -> usize {
        self.tile() * self.pitch(self.keys)
    }

    /// Units that share a row.
    pub(super) const fn sharers(self) -> usize {
        if self.plane > self.rows { self.plane / self.rows } else { 1 }
    }

    /// Rows of a unit, which then shares none.
    pub(super) const fn owned(self) -> usize {
        if self.rows > self.plane { self.rows / self.plane } else { 1 }
    }

    /// Keys of a row that are one unit's.
    pub(super) const fn own_keys(self) -> usize {
        self.keys / self.sharers()
    }

    /// How many of them lie side by side: those of the units that share a row take turns, so that they fall on
    /// different banks.
    pub(super) const fn stripe(self) -> usize {
        if self.own_keys() < STRIPE { self.own_keys() } else { STRIPE }
    }
}
