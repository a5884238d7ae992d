//! Camera paths: published rays, motions in words and keys, refusals.
#![allow(clippy::unwrap_used)]

use burn::prelude::*;
use proptest::prelude::*;
use testkit::{Golden, Tolerance, assert_close, devices, reference_device};
use wan_model::camera::{
    CONTROL_CHANNELS, CameraError, CameraPath, Intrinsics, MAX_POSES, Motion, Pose, control_tokens,
    frame_steps, interpolate, linspace, normalise, relative_to_first,
};

/// Published with six digits.
const PRINTED: f32 = 2e-6;

/// f64 arithmetic in another order.
const SCALAR: f64 = 1e-9;

const LENS: [f64; 4] = [500.0, 500.0, 416.0, 240.0];

type Matrix = [[f64; 4]; 4];

fn turned(degrees: f64, position: [f64; 3]) -> Matrix {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let [x, y, z] = position;
    [[cos, 0.0, sin, x], [0.0, 1.0, 0.0, y], [-sin, 0.0, cos, z], [0.0, 0.0, 0.0, 1.0]]
}

fn identity() -> Matrix {
    turned(0.0, [0.0; 3])
}

/// The published pair of poses as the ends of five.
fn published() -> CameraPath {
    let (first, last) = (turned(0.0, [1.0, 2.0, 3.0]), turned(10.0, [1.5, 2.0, 3.2]));
    CameraPath::new(&[first, first, first, first, last], &[LENS]).unwrap()
}

fn motion(text: &str) -> Motion {
    text.parse().unwrap()
}

fn assert_near(actual: [f64; 3], expected: [f64; 3], what: &str) {
    let near = actual.iter().zip(expected).all(|(a, e)| (a - e).abs() < SCALAR);
    assert!(near, "{what}: {actual:?} is not {expected:?}");
}

#[test]
fn published_steps_and_lens() {
    let mut steps = frame_steps(&relative_to_first(&published().latent_poses()));
    assert_eq!(steps[0], Pose::IDENTITY);
    assert_near(steps[1].position, [0.5, 0.0, 0.2], "t(D_1)");
    assert!((normalise(&mut steps) - 0.538_516_480_713).abs() < SCALAR);
    assert_near(steps[1].position, [0.928_476_690_885, 0.0, 0.371_390_676_354], "in units of the largest");
    let lens = Intrinsics::new(0, LENS).unwrap().scaled(464, 832);
    assert_eq!((lens.fx, lens.cx), (500.0, 416.0));
    assert!((lens.fy - 483.333_333_333).abs() < SCALAR && (lens.cy - 232.0).abs() < SCALAR);
}

#[test]
fn published_rays() {
    let control = published().control(464, 832, &reference_device()).unwrap();
    assert_eq!(control.dims(), [1, CONTROL_CHANNELS, 2, 58, 104]);
    let values = control.into_data().try_to_vec::<f32>().unwrap();
    let at = |frame: usize, row: usize, column: usize, component: usize| {
        let channel = (component * 8 + row % 8) * 8 + column % 8;
        values[((channel * 2 + frame) * 58 + row / 8) * 104 + column / 8]
    };
    let rows = [
        ((0, 0), [-0.465295, -0.345666, 0.814871]),
        ((232, 416), [0.174633, 0.001034, 0.984633]),
        ((463, 831), [0.715937, 0.345666, 0.606588]),
    ];
    for ((row, column), direction) in rows {
        let expected = [0.928477, 0.0, 0.371391].into_iter().chain(direction);
        for (component, expected) in expected.enumerate() {
            let actual = at(1, row, column, component);
            assert!((actual - expected).abs() < PRINTED, "{row} {column} {component}: {actual} {expected}");
        }
    }
    // The first frame neither moves nor turns.
    assert!((0..3).all(|component| at(0, 5, 7, component) == 0.0));
    let (x, y) = ((7.5f32 - 416.0) / 500.0, (5.5f32 - 232.0) / 483.333_34);
    let length = (x * x + y * y + 1.0).sqrt();
    for (component, expected) in [x, y, 1.0].into_iter().enumerate() {
        assert!((at(0, 5, 7, 3 + component) - expected / length).abs() < PRINTED);
    }
}

#[test]
fn tokens_gather_channels_then_rows_then_columns() {
    for target in devices() {
        let control = Tensor::<1, Int>::arange(0..96, &target.device).float().reshape([1, 3, 2, 4, 4]);
        let tokens =
            control_tokens(control, [1, 2, 2]).into_data().convert::<f32>().try_to_vec::<f32>().unwrap();
        // Token 6 is frame 1, row 1, column 0; its value (channel 2, row 1, column 0) is the tenth.
        let expected = (2 * 2 + 1) * 16 + 3 * 4;
        assert_eq!(tokens[6 * 12 + (2 * 2 + 1) * 2], expected as f32, "{}", target.name);
        assert_eq!(tokens.len(), 96);
    }
}

#[test]
fn every_fourth_of_4n_plus_1_poses_is_taken_as_it_is() {
    let poses: Vec<Matrix> =
        (0..13).map(|i| turned(f64::from(i) * 20.0, [f64::from(i * i), 0.0, 1.0])).collect();
    let path = CameraPath::new(&poses, &[LENS]).unwrap();
    let latent = path.latent_poses();
    assert_eq!(latent.len(), 4);
    for (k, pose) in latent.iter().enumerate() {
        let (taken, given) = (pose.matrix(), poses[4 * k]);
        let same = taken.as_flattened().iter().zip(given.as_flattened()).all(|(a, b)| (a - b).abs() < SCALAR);
        assert!(same, "{k}: {taken:?} {given:?}");
    }
}

#[test]
fn rotations_between_poses_follow_the_short_arc() {
    let pose = |degrees| Pose::from_matrix(0, &turned(degrees, [degrees, 0.0, 0.0])).unwrap();
    let poses = [pose(170.0), pose(190.0), pose(190.0)];
    for (target, degrees) in
        [(0.0, 170.0), (0.25, 175.0), (0.75, 185.0), (1.5, 190.0), (2.0, 190.0), (9.0, 190.0)]
    {
        let between = interpolate(&poses, &[target])[0];
        assert_near(between.forward(), pose(degrees).forward(), "forward");
        assert_near(between.position, [degrees, 0.0, 0.0], "position");
    }
    assert_eq!(linspace(5.0, 3), [0.0, 2.5, 5.0]);
    assert_eq!(linspace(0.0, 1), [0.0]);
    assert!(interpolate(&[], &[0.0]).is_empty());
}

#[test]
fn a_camera_that_stays_is_not_divided_by_nothing() {
    let poses: Vec<Matrix> = (0..5).map(|i| turned(f64::from(i), [3.0, 4.0, 5.0])).collect();
    let steps = CameraPath::new(&poses, &[LENS]).unwrap().latent_steps();
    assert!(steps.iter().all(|step| step.position == [0.0; 3]));
}

#[test]
fn paths_are_cut_to_whole_latent_frames() {
    let path = CameraPath::new(&[identity(); 42], &[LENS; 42]).unwrap();
    for (asked, kept) in
        [(None, 41), (Some(81), 41), (Some(41), 41), (Some(40), 37), (Some(1), 1), (Some(0), 1)]
    {
        let cut = path.cut(asked).unwrap();
        assert_eq!((cut.poses().len(), cut.latent_poses().len()), (kept, kept / 4 + 1), "{asked:?}");
    }
    let short = CameraPath::new(&[identity(); 4], &[LENS]).unwrap();
    assert_eq!(short.cut(None), Err(CameraError::TooShort { poses: 4 }));
    assert_eq!(short.cut(Some(5)), Err(CameraError::TooShort { poses: 4 }));
    assert_eq!(short.cut(Some(1)).unwrap().poses().len(), 1);
}

#[test]
fn poses_that_are_not_rigid_are_refused() {
    let change = |row: usize, column: usize, value: f64| {
        let mut matrix = turned(30.0, [1.0, 2.0, 3.0]);
        matrix[row][column] = value;
        CameraPath::new(&[identity(), matrix], &[LENS]).unwrap_err()
    };
    for (error, part) in [
        (change(0, 0, 2.0), "pose 1 is not rigid: its rotation is 3."),
        (change(1, 1, -1.0), "it mirrors"),
        (change(3, 0, 1.0), "its last row is not 0 0 0 1"),
        (change(3, 3, 0.0), "its last row"),
        (change(0, 3, f64::NAN), "row 1 of the poses holds NaN"),
        (change(2, 3, f64::INFINITY), "row 1 of the poses holds NaN"),
        (change(2, 3, 1e300), "beyond 1e9"),
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(change(0, 0, 2.0).hint().unwrap().contains("camera-to-world"));
    // What rounding leaves is no defect, and is taken to the nearest rotation.
    let mut sloppy = turned(30.0, [0.0; 3]);
    sloppy.iter_mut().take(3).for_each(|row| row[0] *= 1.0004);
    let pose = Pose::from_matrix(0, &sloppy).unwrap();
    assert_near(pose.rotation.map(|row| row[0]), [30f64.to_radians().cos(), 0.0, -0.5], "first axis");
}

#[test]
fn lenses_of_other_sizes_are_refused_with_their_size() {
    let lens = |fx, cx, cy| CameraPath::new(&[identity()], &[[fx, 500.0, cx, cy]]).map(drop);
    assert_eq!(lens(503.0, 415.8, 239.8), Ok(()));
    for (width, height) in
        [(1280.0, 720.0), (1024.0, 576.0), (480.0, 832.0), (256.0, 256.0), (1920.0, 1080.0)]
    {
        let error = lens(800.0, width / 2.0, height / 2.0).unwrap_err();
        assert!(matches!(error, CameraError::AnotherSize { .. }), "{error}");
        assert!(
            error.hint().unwrap().contains(&format!("for a {width}x{height} image")),
            "{:?}",
            error.hint()
        );
    }
    assert!(matches!(lens(0.0, 416.0, 240.0), Err(CameraError::FocalLength { .. })));
    assert!(matches!(lens(f64::NAN, 416.0, 240.0), Err(CameraError::NotFinite { .. })));
    let none = CameraPath::new(&[identity()], &[]);
    assert_eq!(none, Err(CameraError::Empty { what: "intrinsics" }));
    assert_eq!(CameraPath::new(&[], &[LENS]), Err(CameraError::Empty { what: "poses" }));
}

#[test]
fn sizes_and_actions_that_do_not_fit_are_refused() {
    let device = reference_device();
    let path = published();
    assert!(matches!(path.control(470, 832, &device), Err(CameraError::Size(_))));
    assert!(matches!(path.control(usize::MAX - 15, 16, &device), Err(CameraError::Size(_))));
    assert!(matches!(path.action_control(16, 16, &device), Err(CameraError::NoActions)));
    let few = path.clone().with_actions(vec![[0.0; 4]; 4]);
    assert_eq!(few, Err(CameraError::ActionsTooShort { actions: 4, poses: 5 }));
    let broken = path.with_actions(vec![[f32::NAN; 4]; 5]);
    assert_eq!(broken, Err(CameraError::NotFinite { what: "actions", row: 0 }));
}

#[test]
fn keys_walk_as_the_published_helper_does() {
    let golden = Golden::load("camera");
    let walk = motion(golden.text("keys"));
    let frames = walk.frames().unwrap();
    assert_eq!(frames, 85);
    let poses = walk.poses(frames);
    assert_eq!(poses.len(), frames + 1);
    let values: Vec<f32> =
        poses.iter().flat_map(|pose| pose.matrix().into_iter().flatten()).map(|value| value as f32).collect();
    let tensor = Tensor::from_data(TensorData::new(values, [frames + 1, 4, 4]), &reference_device());
    assert_close::<3>("walk", tensor, golden.get("walk"), Tolerance::MODULE);
    let actions = walk.actions(frames).unwrap();
    assert_eq!((actions[0], actions[4], actions[10]), ([1.0, 0.0, 0.0, 0.0], [0.0; 4], [0.0, 0.0, 0.0, 1.0]));
}

#[test]
fn keys_are_padded_and_end_at_the_steepest_look() {
    assert_eq!(motion("w-3,iw-1,none-5").frames(), Some(9));
    assert_eq!(motion(" W-3 , none-1").frames(), Some(5));
    let up = motion("i-100").poses(101);
    let pitch = (-up.last().unwrap().forward()[1]).asin().to_degrees();
    assert!((pitch - 84.0).abs() < 1e-6, "{pitch}");
    let still = motion("w-1").poses(20);
    assert_eq!((still.len(), still[1].position), (20, still[19].position));
    // The poses of a whole path and the one after the last key.
    assert_eq!(motion("w-5").poses(5).len(), 6);
}

#[test]
fn words_share_the_frames_by_distance_and_angle() {
    // 2 takes 40 frames of keys, 30 degrees 15, 10 degrees 5: sixty intervals in all.
    let poses = motion("forward 2, left 30deg, up 10 degrees").poses(61);
    assert_eq!(poses[0], Pose::IDENTITY);
    assert_near(poses[20].position, [0.0, 0.0, 1.0], "half of the way");
    assert_near(poses[40].position, [0.0, 0.0, 2.0], "the way");
    assert_near(poses[40].forward(), [0.0, 0.0, 1.0], "before the turn");
    let (sin, cos) = 30f64.to_radians().sin_cos();
    assert_near(poses[55].forward(), [-sin, 0.0, cos], "after the turn");
    let (up, level) = 10f64.to_radians().sin_cos();
    assert_near(poses[60].forward(), [-sin * level, -up, cos * level], "at the end");
    assert_near(poses[60].position, [0.0, 0.0, 2.0], "turns do not move");
}

#[test]
fn words_move_along_the_cameras_axes() {
    let end = |text: &str, frames| motion(text).poses(frames).last().unwrap().position;
    for (text, expected) in [
        ("Forward 1.5", [0.0, 0.0, 1.5]),
        ("back 1", [0.0, 0.0, -1.0]),
        ("left 1", [-1.0, 0.0, 0.0]),
        ("right 1", [1.0, 0.0, 0.0]),
        ("up 1", [0.0, -1.0, 0.0]),
        ("down 1", [0.0, 1.0, 0.0]),
        ("right 90°, forward 3", [3.0, 0.0, 0.0]),
        ("right 90deg, left 2", [0.0, 0.0, 2.0]),
        ("down 80deg", [0.0; 3]),
    ] {
        assert_near(end(text, 7), expected, text);
        assert_near(end(text, 2), expected, text);
    }
    assert_eq!(motion("forward 1").poses(1), [Pose::IDENTITY]);
}

#[test]
fn a_motion_that_cannot_be_read_names_the_piece() {
    let cases = [
        ("", "`` (character 1): nothing"),
        ("forward 2,, up 1", "`` (character 11): nothing"),
        ("forward 2, sideways 3", "`sideways 3` (character 12): expected forward"),
        ("forward", "`forward` (character 1): expected a number"),
        ("forward two", "`forward two` (character 1): expected a number"),
        ("left -30deg", "expected a number above 0"),
        ("left nan deg", "expected a number"),
        ("left 1e9", "at most 1000000"),
        ("forward 30deg", "turns are left, right, up or down"),
        ("up 50deg,  up 40deg", "`up 40deg` (character 12): would look 90 degrees up"),
        ("w-3, x-1", "`x-1` (character 6): the keys are"),
        ("w-3,w", "`w` (character 5): expected keys-frames"),
        ("w-0", "whole number above 0"),
        ("w-1.5", "whole number above 0"),
        ("w-99999999999999999999", "whole number"),
        ("w-65536,s-1", "`s-1` (character 9): more than 65536"),
        ("é 1, forward", "`é 1` (character 1)"),
    ];
    for (text, part) in cases {
        let error = text.parse::<Motion>().unwrap_err();
        assert!(error.to_string().contains(part), "{text:?}: {error}");
        assert!(error.hint().unwrap().contains("forward 2, left 30deg"));
    }
    let poses = vec![Pose::IDENTITY; MAX_POSES + 1];
    let lens = vec![Intrinsics::PUBLISHED];
    assert!(matches!(CameraPath::from_poses(poses, lens), Err(CameraError::TooLong { .. })));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[a-z0-9,. °-]{0,40}") {
        if let Ok(motion) = text.parse::<Motion>() {
            let poses = motion.poses(9);
            prop_assert!(poses.len() >= 9);
            for (frame, pose) in poses.iter().take(20).enumerate() {
                prop_assert!(Pose::from_matrix(frame, &pose.matrix()).is_ok(), "{:?}", pose);
            }
        }
    }
}
