//! Bodies in parts, for `http` and `files`. As bytes, they would be lists of numbers in JSON: they are texts here.

use parlor_sdk::bindings::parlor::plugin::types as contract;
use parlor_sdk::prelude::*;

use super::arg;
use crate::json::option;

/// Writes the text `part`, or as many bytes as `size` says of the letter `fill`, `step` of them at a time: by default 1 MiB.
pub(super) async fn write<C>(args: &Value, mut call: impl FnMut(Vec<u8>) -> C) -> Result<Value>
where
    C: Future<Output = Result<(), contract::Error>>,
{
    if let Some(part) = arg::<Option<String>>(args, "part")? {
        return call(part.into_bytes()).await.map_err(Error::from).map(Value::from);
    }
    let mut left: usize = arg(args, "size")?;
    let step = arg::<Option<usize>>(args, "step")?.unwrap_or(1 << 20).max(1);
    let fill = arg::<Option<String>>(args, "fill")?.and_then(|fill| fill.bytes().next()).unwrap_or(b'x');
    while left > 0 {
        let length = left.min(step);
        call(vec![fill; length]).await.map_err(Error::from)?;
        left -= length;
    }
    Ok(Value::Null)
}

/// Reads one part. With `drain`, it reads to the end, or as far as there are `size` bytes, and returns how much that was and its checksum
/// (FNV-1a of 64 bits).
pub(super) async fn read<C>(args: &Value, mut call: impl FnMut() -> C) -> Result<Value>
where
    C: Future<Output = Result<Option<Vec<u8>>, contract::Error>>,
{
    if !arg::<Option<bool>>(args, "drain")?.unwrap_or_default() {
        // An event carries 256 KiB.
        let shown = |part: &Vec<u8>| json!({ "part": String::from_utf8_lossy(&part[..part.len().min(10_000)]), "size": part.len() });
        return Ok(option(call().await.map_err(Error::from)?, shown));
    }
    let most = arg::<Option<usize>>(args, "size")?.unwrap_or(usize::MAX);
    let (mut total, mut largest, mut checksum) = (0, 0, 0xcbf2_9ce4_8422_2325_u64);
    while total < most
        && let Some(part) = call().await.map_err(Error::from)?
    {
        total += part.len();
        largest = largest.max(part.len());
        for byte in part {
            checksum = (checksum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    Ok(json!({ "total": total, "largest": largest, "checksum": format!("{checksum:016x}") }))
}
