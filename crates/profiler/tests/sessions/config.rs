//! Settings, from code and from TOML.

use profiler::config::{ConfigError, ProfilerConfig, ProfilingLevel};
use profiler::profiler::BottleneckProfiler;

#[test]
fn a_configuration_is_checked_wherever_it_comes_from() {
    let default = ProfilerConfig::default();
    default.validate().unwrap();
    for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        for (field, config) in [
            ("bottleneck_threshold", default.clone().with_bottleneck_threshold(bad)),
            ("memory_threshold", default.clone().with_memory_threshold(bad)),
            ("gpu_threshold", default.clone().with_gpu_threshold(bad)),
        ] {
            let error = BottleneckProfiler::new(config).unwrap_err();
            assert!(matches!(&error, ConfigError::OutOfRange { field: f, .. } if *f == field));
            let text = error.to_string();
            assert!(text.starts_with(&format!("`{field}` is {bad}, but must be")), "{text}");
            assert!(text.contains("\nhint: "), "{text}");
        }
    }
    for bad in [0.0, 0.0009, 3601.0, f64::NAN] {
        let config = default.clone().with_sampling_interval(bad);
        assert!(matches!(
            config.validate(),
            Err(ConfigError::OutOfRange { field: "sampling_interval", .. })
        ));
    }

    assert_eq!(ProfilerConfig::from_toml("").unwrap(), default);
    let production = ProfilerConfig::from_toml("profiling_level = 'production'").unwrap();
    assert_eq!(production, ProfilerConfig::at_level(ProfilingLevel::Production));
    let text =
        "profiling_level = 'production'\nsampling_interval = 0.1\nenable_io_tracking = false";
    let given = ProfilerConfig::from_toml(text).unwrap();
    assert_eq!((given.sampling_interval, given.enable_io_tracking), (0.1, false));
    let same = ProfilerConfig::at_level(ProfilingLevel::Production)
        .with_sampling_interval(0.1)
        .with_io_tracking(false);
    assert_eq!(given, same);

    let error = ProfilerConfig::from_toml("memory_threshold = 80.0").unwrap_err();
    assert!(matches!(error, ConfigError::OutOfRange { field: "memory_threshold", .. }), "{error}");
    let error = ProfilerConfig::from_toml("sampling_intervall = 1.0").unwrap_err();
    assert!(matches!(error, ConfigError::Toml { .. }));
    let text = error.to_string();
    assert!(
        text.contains("`sampling_intervall`") && text.contains("`sampling_interval`"),
        "{text}"
    );
    for text in ["profiling_level = 'all'", "sampling_interval = 'fast'", "= 3"] {
        assert!(matches!(ProfilerConfig::from_toml(text), Err(ConfigError::Toml { .. })), "{text}");
    }
}
