//! What needs a GPU: `scripts/test-gpu`.

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use loader::datasets::arrays::Array;
    use loader::{Arrays, Dataset, Dtype, Field, Loader, LoaderBuilder, SampleError, Slot, cuda};
    use preproc::transform::Normalize;
    use profiler::extend::MetricSource;
    use profiler::gpu::Gpus;
    use tch::{Device, Kind, Tensor};

    /// Sample `i` is 64 x 64 times `i`.
    struct Constant(usize);

    const SIDE: usize = 64;

    impl Dataset for Constant {
        type Worker = ();

        fn len(&self) -> usize {
            self.0
        }

        fn fields(&self) -> Vec<Field> {
            vec![
                Field::new("images", [SIDE, SIDE], Dtype::Float32),
                Field::new("labels", [], Dtype::Int64),
            ]
        }

        fn load(&self, index: usize, (): &mut (), slot: &mut Slot<'_>) -> Result<(), SampleError> {
            slot.fields.get_mut::<f32>(0).fill(index as f32);
            slot.fields.get_mut::<i64>(1)[0] = index as i64;
            Ok(())
        }
    }

    fn builder(samples: usize) -> LoaderBuilder {
        Loader::builder(Constant(samples)).batch_size(64).num_workers(2).pin_memory(true)
    }

    /// Panics unless every element of every image is its label.
    fn check(images: &Tensor, labels: &Tensor) {
        let expected = labels.to_kind(Kind::Float).view([-1, 1, 1]);
        assert_eq!((images - expected).abs().max().double_value(&[]), 0.0);
    }

    #[test]
    fn there_is_a_gpu() {
        cuda::load().unwrap_or_else(|reason| panic!("{}", loader::error::Report(reason)));
        assert_eq!(cuda::device(), Device::Cuda(0));
        assert!(tch::Cuda::is_available());
        let sum = Tensor::ones([1_000], (Kind::Float, Device::Cuda(0))).sum(Kind::Float);
        assert_eq!(sum.double_value(&[]), 1_000.0);
    }

    #[test]
    fn pinned_batches_are_pinned_and_their_memory_is_used_again() {
        cuda::load().unwrap();
        let mut loader = builder(64 * 50).build().unwrap();
        assert!(loader.settings().pin_memory);
        let mut addresses = HashSet::new();
        for batch in loader.epoch(0) {
            let batch = batch.unwrap();
            assert!(batch.iter().all(|(_, tensor)| tensor.is_pinned(Device::Cuda(0))));
            check(&batch["images"], &batch["labels"]);
            addresses.insert(batch["images"].data_ptr() as usize);
        }
        assert!(addresses.len() <= 8, "{} blocks for 50 batches", addresses.len());
    }

    /// Copies are right though their sources are dropped at once and written again by workers,
    /// while the GPU is busy.
    #[test]
    fn batches_on_the_gpu_hold_what_was_loaded() {
        cuda::load().unwrap();
        for (pin_memory, ahead) in [(true, 0), (true, 1), (true, 3), (false, 1)] {
            let builder = builder(64 * 40).pin_memory(pin_memory).prefetch_depth(4).shuffle(true);
            let mut loader = builder.to_device(Device::Cuda(0), ahead).build().unwrap();
            let busy = Tensor::randn([2_048, 2_048], (Kind::Float, Device::Cuda(0)));
            let mut kept = Vec::new();
            for epoch in 0..3 {
                for batch in loader.epoch(epoch) {
                    let batch = batch.unwrap();
                    assert!(batch.iter().all(|(_, tensor)| tensor.device() == Device::Cuda(0)));
                    let _ = busy.matmul(&busy);
                    kept.push((&batch["images"] * 1.0, batch["labels"].shallow_clone()));
                }
            }
            assert_eq!(kept.len(), 120);
            kept.iter().for_each(|(images, labels)| check(images, labels));
        }
    }

    #[test]
    fn a_batch_dropped_under_way_does_no_harm() {
        cuda::load().unwrap();
        let builder = builder(64 * 10).to_device(Device::Cuda(0), 2).prefetch_depth(4);
        let mut loader = builder.build().unwrap();
        for _ in 0..50 {
            let batch = loader.epoch(0).next().unwrap().unwrap();
            check(&batch["images"], &batch["labels"]);
        }
        assert_eq!(loader.epoch(0).count(), 10);
    }

    #[test]
    fn bytes_become_floats_on_the_gpu() {
        cuda::load().unwrap();
        let bytes: Vec<u8> = (0..64 * 3 * 4 * 4).map(|i| (i * 37 % 256) as u8).collect();
        let images = Array::from_values(&bytes, &[64, 3, 4, 4]).unwrap();
        let builder = Loader::builder(Arrays::new([("images", images)]).unwrap());
        let builder = builder.batch_size(16).num_workers(1).pin_memory(true);
        let builder = builder.normalize_on_device("images", Normalize::IDENTITY);
        let mut loader = builder.to_device(Device::Cuda(0), 1).build().unwrap();
        let batches: Vec<_> =
            loader.epoch(0).map(|batch| batch.unwrap()["images"].copy()).collect();
        let got = Tensor::cat(&batches, 0);
        assert_eq!((got.kind(), got.device()), (Kind::Float, Device::Cuda(0)));
        let expected = Tensor::from_slice(&bytes).view([64, 3, 4, 4]).to_kind(Kind::Float) / 255.0;
        let difference = (got.to_device(Device::Cpu) - expected).abs().max();
        assert!(difference.double_value(&[]) < 1e-6);
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error() {
        cuda::load().unwrap();
        let error = builder(64).to_device(Device::Cuda(99), 1).build().unwrap_err();
        assert!(error.to_string().starts_with("libtorch: "), "{error}");
    }

    #[test]
    fn the_gpus_memory_is_seen() {
        cuda::load().unwrap();
        // Before, this process holds nothing there.
        let _context = Tensor::zeros([1], (Kind::Float, Device::Cuda(0)));
        let before = gpu_bytes();
        let held = Tensor::zeros([1 << 28], (Kind::Float, Device::Cuda(0)));
        let after = gpu_bytes();
        drop(held);
        assert!(after >= before + (1 << 30), "{before} to {after}");
    }

    #[test]
    fn the_allocator_tells_what_it_holds() {
        cuda::load().unwrap();
        let held = Tensor::zeros([1 << 20], (Kind::Float, Device::Cuda(0)));
        let metrics = cuda::AllocatorMemory.sample().unwrap();
        assert!(metrics.len() >= 2, "{metrics:?}");
        assert!(metrics[..2].iter().all(|(_, bytes)| *bytes >= f64::from(1 << 22)), "{metrics:?}");
        cuda::synchronize();
        drop(held);
    }

    /// Of this process; of all where the driver knows it by another number, as in a container.
    fn gpu_bytes() -> u64 {
        let gpus = Gpus::open().unwrap();
        let of_process = gpus.process_bytes(std::process::id());
        of_process.or_else(|| gpus.read().first()?.memory_used_bytes).unwrap()
    }
}
