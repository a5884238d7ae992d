//! Vectors and matrices of three.

pub type Vector = [f64; 3];
pub type Matrix = [Vector; 3];

pub const IDENTITY: Matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

pub fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub fn add(a: Vector, b: Vector) -> Vector {
    std::array::from_fn(|i| a[i] + b[i])
}

pub fn subtract(a: Vector, b: Vector) -> Vector {
    std::array::from_fn(|i| a[i] - b[i])
}

pub fn scale(a: Vector, factor: f64) -> Vector {
    a.map(|value| value * factor)
}

pub fn length(a: Vector) -> f64 {
    dot(a, a).sqrt()
}

pub fn column(m: &Matrix, index: usize) -> Vector {
    m.map(|row| row[index])
}

pub fn transpose(m: &Matrix) -> Matrix {
    std::array::from_fn(|i| column(m, i))
}

pub fn apply(m: &Matrix, v: Vector) -> Vector {
    m.map(|row| dot(row, v))
}

pub fn multiply(a: &Matrix, b: &Matrix) -> Matrix {
    let columns = transpose(b);
    a.map(|row| columns.map(|column| dot(row, column)))
}

pub fn determinant(m: &Matrix) -> f64 {
    let [a, b, c] = *m;
    dot(a, cross(b, c))
}

fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// A turn about x by `radians`; positive looks up, with y down and z forward.
pub fn turn_x(radians: f64) -> Matrix {
    let (sin, cos) = radians.sin_cos();
    [[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]]
}

/// A turn about y by `radians`; positive looks right.
pub fn turn_y(radians: f64) -> Matrix {
    let (sin, cos) = radians.sin_cos();
    [[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]]
}
