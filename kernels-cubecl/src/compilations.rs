//! How CubeCL says which kernels it compiles and tunes.

/// While one lives, kernels are compiled and tuned as ever but not run, in the whole process: what is read from a device
/// is meaningless then.
pub use cubecl::dry_run::DryRun;

use cubecl::config::{
    CubeClRuntimeConfig, RuntimeConfig, autotune::AutotuneLogLevel, compilation::CompilationLogLevel,
};

/// `log` target of a line for each kernel that is compiled: expanded, translated and handed to the driver, which a
/// process does at most once for a kernel.
pub const COMPILED: &str = "cubecl::compilation";
/// `log` target of a line for each choice between kernels that was measured.
pub const TUNED: &str = "cubecl::autotune";

/// Has CubeCL write those lines, at level `info`, beside whatever its own configuration file asks for. Comes too late
/// once a device was opened, and then does nothing.
pub fn log_compilations() {
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    let compilation = &mut config.compilation.logger;
    if matches!(compilation.level, CompilationLogLevel::Disabled) {
        compilation.level = CompilationLogLevel::Basic;
    }
    let autotune = &mut config.autotune.logger;
    if matches!(autotune.level, AutotuneLogLevel::Disabled) {
        autotune.level = AutotuneLogLevel::Minimal;
    }
    compilation.log.get_or_insert_default();
    autotune.log.get_or_insert_default();
    CubeClRuntimeConfig::try_set(config);
}
