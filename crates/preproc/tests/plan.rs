//! What a list of transforms may look like, in code and in TOML.

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

use preproc::transform::{
    CenterCrop, HorizontalFlip, Normalize, RandomResizedCrop, Resize, ResizeSize, Size, ToTensor,
};
use preproc::{Compose, ComposeError, DecodeOptions, ImageTransform, Region};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct List {
    transforms: Vec<ImageTransform>,
}

fn parse(text: &str) -> Result<Vec<ImageTransform>, toml::de::Error> {
    toml::from_str(&format!("transforms = [{text}]")).map(|list: List| list.transforms)
}

fn plan(text: &str) -> Result<Compose, ComposeError> {
    Compose::new(parse(text).unwrap(), DecodeOptions::default())
}

#[test]
fn every_transform_has_its_forms() {
    let resize = |size| ImageTransform::Resize(Resize { size });
    let center_crop = |size| ImageTransform::CenterCrop(CenterCrop { size });
    let random = RandomResizedCrop::new(224);
    let forms = [
        (r#""decode""#, ImageTransform::Decode),
        ("{ resize = { size = 256 } }", resize(ResizeSize::Short(256))),
        ("{ resize = { size = [224, 256] } }", resize(ResizeSize::Exact([224, 256]))),
        (
            "{ crop = { left = 1, top = 2, width = 3, height = 4 } }",
            ImageTransform::Crop(Region { left: 1, top: 2, width: 3, height: 4 }),
        ),
        (
            "{ random_resized_crop = { size = 224 } }",
            ImageTransform::RandomResizedCrop(random.clone()),
        ),
        (
            "{ random_resized_crop = { size = [8, 9], scale = [0.5, 1.0], ratio = [1.0, 1.0] } }",
            ImageTransform::RandomResizedCrop(RandomResizedCrop {
                size: Size::Sides([8, 9]),
                scale: [0.5, 1.0],
                ratio: [1.0, 1.0],
            }),
        ),
        ("{ center_crop = { size = 224 } }", center_crop(Size::Square(224))),
        ("{ center_crop = { size = [8, 9] } }", center_crop(Size::Sides([8, 9]))),
        ("{ horizontal_flip = {} }", ImageTransform::HorizontalFlip(HorizontalFlip { p: 0.5 })),
        (
            "{ horizontal_flip = { p = 0.1 } }",
            ImageTransform::HorizontalFlip(HorizontalFlip { p: 0.1 }),
        ),
        (r#""to_tensor""#, ImageTransform::ToTensor(ToTensor::default())),
        (
            "{ normalize = { mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225] } }",
            ImageTransform::Normalize(Normalize::IMAGENET),
        ),
    ];
    for (text, transform) in forms {
        assert_eq!(parse(text).unwrap(), std::slice::from_ref(&transform));
        assert!(text.contains(transform.name()));
        // What is written can be read again.
        let written = toml::Value::try_from(&transform).unwrap();
        assert_eq!(written.try_into::<ImageTransform>().unwrap(), transform);
    }
}

#[test]
fn a_mistake_in_toml_is_named() {
    let mistakes = [
        (r#""decod""#, "unknown variant `decod`, expected one of `decode`, `resize`, `crop`"),
        ("{ resise = { size = 1 } }", "unknown variant `resise`"),
        ("{ resize = { side = 1 } }", "unknown field `side`, expected `size`"),
        ("{ resize = {} }", "missing field `size`"),
        ("{ resize = { size = -1 } }", "expected a side in pixels or `[height, width]`"),
        ("{ resize = { size = 2.5 } }", "expected a side in pixels or `[height, width]`"),
        (
            "{ center_crop = { size = [1, 2, 3] } }",
            "expected a side in pixels or `[height, width]`",
        ),
        ("{ crop = { left = 0, top = 0, width = 1, hight = 1 } }", "unknown field `hight`"),
        (
            "{ random_resized_crop = { size = 1, scales = [0, 1] } }",
            "unknown field `scales`, expected one of `size`, `scale`, `ratio`",
        ),
        ("{ horizontal_flip = { prob = 0.5 } }", "unknown field `prob`, expected `p`"),
        ("{ normalize = { mean = [0.0], std = [1.0] } }", "invalid length 1, expected an array"),
        ("{ normalize = { mean = [0.0, 0.0, 0.0] } }", "missing field `std`"),
    ];
    for (text, message) in mistakes {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
        assert!(error.contains("line 1, column"), "{error}");
    }
    let options = toml::from_str::<DecodeOptions>("max_pixel = 1").unwrap_err().to_string();
    assert!(options.contains("unknown field `max_pixel`, expected `max_pixels`"), "{options}");
    assert_eq!(toml::from_str::<DecodeOptions>("").unwrap(), DecodeOptions::default());
}

#[test]
fn the_order_must_make_sense() {
    let crop = "{ center_crop = { size = 8 } }";
    let normalize = "{ normalize = { mean = [0.0, 0.0, 0.0], std = [1.0, 1.0, 1.0] } }";
    let after = |name: &str| ComposeError::AfterToTensor { name: name.to_owned() };
    let mistakes = [
        (String::new(), ComposeError::Decode),
        (format!(r#"{crop}, "to_tensor""#), ComposeError::Decode),
        (format!(r#""decode", {crop}, "decode", "to_tensor""#), ComposeError::Decode),
        (format!(r#""decode", {crop}"#), ComposeError::NoToTensor),
        (format!(r#""decode", {crop}, "to_tensor", {crop}"#), after("center_crop")),
        (format!(r#""decode", {crop}, "to_tensor", "to_tensor""#), after("to_tensor")),
        (format!(r#""decode", {crop}, "to_tensor", {normalize}, {normalize}"#), after("normalize")),
        (format!(r#""decode", {crop}, {normalize}"#), ComposeError::NormalizeBeforeToTensor),
        (r#""decode", "to_tensor""#.into(), ComposeError::NoFixedShape),
        (r#""decode", { resize = { size = 8 } }, "to_tensor""#.into(), ComposeError::NoFixedShape),
        (
            format!(
                r#""decode", {crop}, {{ resize = {{ size = [9, 8] }} }}, {{ resize = {{ size = 7 }} }}, "to_tensor""#
            ),
            ComposeError::NoFixedShape,
        ),
    ];
    for (text, expected) in mistakes {
        assert_eq!(plan(&text).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn values_must_make_sense() {
    let mistakes = [
        ("{ resize = { size = 0 } }", "`resize`: `size` is 0, but must be 1 to 16384 pixels"),
        ("{ resize = { size = [1, 16385] } }", "`resize`: `size` is [1, 16385], but must be"),
        ("{ crop = { left = 0, top = 0, width = 0, height = 1 } }", "`crop`: `width` is 0, but"),
        ("{ crop = { left = 0, top = 0, width = 1, height = 0 } }", "`crop`: `height` is 0, but"),
        ("{ center_crop = { size = 20000 } }", "`center_crop`: `size` is 20000, but must be"),
        ("{ random_resized_crop = { size = [0, 1] } }", "`random_resized_crop`: `size` is [0, 1]"),
        (
            "{ random_resized_crop = { size = 1, scale = [0.5, 0.1] } }",
            "`scale` is [0.5, 0.1], but must be two ascending shares of the area",
        ),
        ("{ random_resized_crop = { size = 1, scale = [0.0, 1.0] } }", "`scale` is [0.0, 1.0]"),
        ("{ random_resized_crop = { size = 1, scale = [0.5, 1.5] } }", "`scale` is [0.5, 1.5]"),
        ("{ random_resized_crop = { size = 1, ratio = [-1.0, 1.0] } }", "`ratio` is [-1.0, 1.0]"),
        ("{ random_resized_crop = { size = 1, ratio = [1.0, inf] } }", "`ratio` is [1.0, inf]"),
        ("{ horizontal_flip = { p = 1.5 } }", "`p` is 1.5, but must be a probability, 0 to 1"),
        ("{ horizontal_flip = { p = nan } }", "`p` is NaN, but"),
    ];
    for (text, message) in mistakes {
        let error = plan(&format!(r#""decode", {text}, "to_tensor""#)).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let normalize = |values| {
        plan(&format!(
            r#""decode", {{ center_crop = {{ size = 8 }} }}, "to_tensor", {{ normalize = {{ {values} }} }}"#
        ))
    };
    let zero = normalize("mean = [0.0, 0.0, 0.0], std = [1.0, 0.0, 1.0]").unwrap_err();
    assert!(zero.to_string().contains("`std` is [1.0, 0.0, 1.0], but must be above 0"), "{zero}");
    let infinite = normalize("mean = [inf, 0.0, 0.0], std = [1.0, 1.0, 1.0]").unwrap_err();
    assert!(infinite.to_string().contains("`mean` is [inf, 0.0, 0.0], but must"), "{infinite}");
}

#[test]
fn the_shape_is_that_of_the_last_step_that_sets_it() {
    let shape = |steps: &str| plan(&format!(r#""decode", {steps}, "to_tensor""#)).unwrap().shape();
    assert_eq!(shape("{ random_resized_crop = { size = [7, 9] } }"), [3, 7, 9]);
    assert_eq!(shape("{ resize = { size = [7, 9] } }, { horizontal_flip = {} }"), [3, 7, 9]);
    assert_eq!(
        shape("{ resize = { size = 256 } }, { center_crop = { size = 224 } }"),
        [3, 224, 224]
    );
    assert_eq!(shape("{ crop = { left = 1, top = 2, width = 5, height = 6 } }"), [3, 6, 5]);
    let text = r#""decode", { center_crop = { size = 8 } }, "to_tensor""#;
    let options = DecodeOptions { max_pixels: 5, exif_orientation: true };
    let compose = Compose::new(parse(text).unwrap(), options.clone()).unwrap();
    assert_eq!((compose.transforms(), compose.options()), (&parse(text).unwrap()[..], &options));
}
