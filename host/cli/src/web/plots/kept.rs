//! The samples of the plots on disk, so that a day is whole after this program was started again: one file of a fixed size in
//! the data folder, with numbers alone.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use parlor_base::atomic::{Readers, make_private_folder, write as write_whole};

use super::{MOST, Sample};

/// The first bytes of the file: its kind and form.
const KIND: &[u8] = b"parlorp1";
/// The size of a number.
const NUMBER: usize = 8;
/// The size of a sample: its minute and its three values.
const ONE: usize = 4 * NUMBER;
/// The size of the file, however many samples there are.
const SIZE: usize = KIND.len() + MOST * ONE;
/// The minute of a place without a sample.
const NOTHING: i64 = -1;
/// The last minute that a sample can have, some thousand years from now.
const LAST: i64 = 1 << 30;

fn file(data: &Path) -> PathBuf {
    data.join("window").join("plots")
}

/// Returns the samples as the bytes of the file.
pub(super) fn bytes(samples: &VecDeque<Sample>) -> Vec<u8> {
    let mut bytes = KIND.to_vec();
    for sample in samples.iter().take(MOST) {
        bytes.extend(sample.minute.to_le_bytes());
        // No value is no number.
        bytes.extend(sample.values.iter().flat_map(|value| value.unwrap_or(f64::NAN).to_le_bytes()));
    }
    if bytes.len() < SIZE {
        bytes.extend(NOTHING.to_le_bytes());
    }
    bytes.resize(SIZE, 0);
    bytes
}

/// Writes the file.
pub(super) fn write(data: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = file(data);
    make_private_folder(&data.join("window"))?;
    write_whole(&file, bytes, Readers::Owner)
}

/// Reads the file. There are no samples without one, and a broken one is an error.
pub(super) fn read(data: &Path) -> anyhow::Result<VecDeque<Sample>> {
    let path = file(data);
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(VecDeque::new()),
        Err(error) => return Err(error.into()),
        Ok(found) if usize::try_from(found.len()) != Ok(SIZE) => bail!("it has {} bytes, not {SIZE}", found.len()),
        Ok(_) => {}
    }
    parse(&fs::read(&path)?).context("its content is none of samples")
}

fn parse(bytes: &[u8]) -> Option<VecDeque<Sample>> {
    let (places, []) = bytes.strip_prefix(KIND)?.as_chunks::<ONE>() else { return None };
    let mut samples = VecDeque::<Sample>::new();
    for place in places {
        let (numbers, _) = place.as_chunks::<NUMBER>();
        let [minute, values @ ..] = numbers else { return None };
        let minute = i64::from_le_bytes(*minute);
        if minute == NOTHING {
            break;
        }
        let values = <[[u8; NUMBER]; 3]>::try_from(values).ok()?.map(f64::from_le_bytes);
        let is_later = samples.back().is_none_or(|before| before.minute < minute);
        let are_plausible = values.iter().all(|value| value.is_nan() || value.is_finite() && *value >= 0.0);
        if !is_later || !are_plausible || !(0..=LAST).contains(&minute) {
            return None;
        }
        samples.push_back(Sample { minute, values: values.map(|value| (!value.is_nan()).then_some(value)) });
    }
    Some(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(count: i64) -> VecDeque<Sample> {
        let half = |minute: i64| (minute % 2 == 0).then_some(2.5);
        (0..count).map(|minute| Sample { minute: minute + 7, values: [half(minute), Some(0.0), None] }).collect()
    }

    #[test]
    fn samples_are_read_as_they_were_written_and_the_file_does_not_grow() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), VecDeque::new());
        for count in [0, 1, 2, 1_439, 1_440] {
            let all = samples(count);
            write(folder.path(), &bytes(&all)).unwrap();
            assert_eq!(fs::metadata(file(folder.path())).unwrap().len(), u64::try_from(SIZE).unwrap());
            assert_eq!(read(folder.path()).unwrap(), all, "{count}");
        }
        assert_eq!(bytes(&samples(5_000)).len(), SIZE);
    }

    #[test]
    fn a_broken_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let whole = bytes(&samples(3));
        let with = |at: usize, number: [u8; NUMBER]| {
            let mut bytes = whole.clone();
            bytes[at..at + NUMBER].copy_from_slice(&number);
            bytes
        };
        let (first, second) = (KIND.len(), KIND.len() + ONE);
        for broken in [
            Vec::new(),
            b"{}".to_vec(),
            vec![0; SIZE],
            vec![b'x'; SIZE],
            whole[..SIZE - 1].to_vec(),
            [&whole[..], b"x"].concat(),
            // Of another form, twice the same minute, a minute that overflows, and values that are none.
            with(0, *b"parlorp2"),
            with(second, 7_i64.to_le_bytes()),
            with(first, i64::MIN.to_le_bytes()),
            with(second, i64::MAX.to_le_bytes()),
            with(first + NUMBER, f64::INFINITY.to_le_bytes()),
            with(first + NUMBER, (-1.0_f64).to_le_bytes()),
        ] {
            write(folder.path(), &broken).unwrap();
            assert!(read(folder.path()).is_err(), "{:?}", &broken[..broken.len().min(80)]);
        }
        fs::remove_file(file(folder.path())).unwrap();
        fs::create_dir(file(folder.path())).unwrap();
        assert!(read(folder.path()).is_err());
    }
}
