//! One film: request, phases, denoising loop, decoding.
