//! Changes a built plugin's manifest or adds modules to it, for unusual plugins, such as two that wait for each other.

use anyhow::{Context, Result, ensure};
use wasm_encoder::{
    CodeSection, ComponentExportKind, ComponentImportSection, ComponentInstanceSection, ComponentSection as _,
    ComponentSectionId, ComponentTypeRef, ComponentTypeSection, Function, FunctionSection, InstanceSection,
    InstanceType, Module, RawSection, TypeSection, ValType,
};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

/// The section in which `parlor plugin build` stores the manifest.
const SECTION: &[u8] = b"parlor:manifest";
/// The length of a component's header, in bytes.
const HEADER: usize = 8;

/// Returns the component with a manifest that says that it parks.
pub fn that_parks(component: &[u8]) -> Result<Vec<u8>> {
    with_manifest(component, |manifest| manifest.replacen("[plugin]\n", "[plugin]\nparks = true\n", 1))
}

/// Returns the component with a manifest that binds its credentials to this host and port.
pub fn with_credentials_for(component: &[u8], host: &str) -> Result<Vec<u8>> {
    let bound = format!("hosts = [\"https://{host}\"]");
    with_manifest(component, |manifest| {
        let lines = manifest.lines().map(|line| if line.starts_with("hosts = ") { &bound } else { line });
        lines.collect::<Vec<_>>().join("\n")
    })
}

/// Returns the component with a manifest that `edit` makes of the present one.
pub fn with_manifest(component: &[u8], edit: impl FnOnce(&str) -> String) -> Result<Vec<u8>> {
    let mut out = component.get(..HEADER).context("shorter than a component's header")?.to_vec();
    let mut rest = &component[HEADER..];
    let mut manifest = None;
    while let Some((id, after)) = rest.split_first() {
        let (length, content) = number(after)?;
        ensure!(length <= content.len(), "a section that is longer than the file");
        let (content, after) = content.split_at(length);
        match (id, custom(content)) {
            (0, Some((SECTION, text))) => manifest = Some(std::str::from_utf8(text).context("the manifest")?),
            _ => out.extend_from_slice(&rest[..rest.len() - after.len()]),
        }
        rest = after;
    }
    let text = edit(manifest.context("a component without a manifest")?);
    let mut content = Vec::new();
    put_number(&mut content, SECTION.len());
    content.extend_from_slice(SECTION);
    content.extend_from_slice(text.as_bytes());
    out.push(0);
    put_number(&mut out, content.len());
    out.extend_from_slice(&content);
    Ok(out)
}

/// Replaces every occurrence of a text by another of the same length.
pub fn with_text(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "sections say how long they are");
    let mut bytes = bytes.to_vec();
    for start in 0..=bytes.len().saturating_sub(from.len()) {
        if bytes[start..].starts_with(from.as_bytes()) {
            bytes[start..start + to.len()].copy_from_slice(to.as_bytes());
        }
    }
    bytes
}

/// Adds a core module and an instance of it to a component.
pub fn graft(component: &mut Vec<u8>, module: &[u8]) -> Result<()> {
    let mut depth = 0;
    let mut index = 0;
    for payload in Parser::new(0).parse_all(component) {
        match payload.context("a component that can be read")? {
            Payload::ModuleSection { .. } => {
                index += u32::from(depth == 0);
                depth += 1;
            }
            Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            _ => {}
        }
    }
    RawSection { id: ComponentSectionId::CoreModule.into(), data: module }.append_to_component(component);
    let mut instances = InstanceSection::new();
    instances.instantiate::<_, &str>(index, []);
    instances.append_to_component(component);
    Ok(())
}

/// Builds a module that takes long to compile: this many functions of about this many bytes, in which the compiler
/// cannot drop any instruction.
pub fn heavy_module(functions: u32, bytes: usize) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32], [ValType::I32]);
    let (mut declared, mut code) = (FunctionSection::new(), CodeSection::new());
    for number in 0..functions {
        declared.function(0);
        let mut body = Function::new([(1, ValType::I32)]);
        let mut sink = body.instructions();
        sink.local_get(0).local_set(1);
        // Each step is ten bytes.
        for step in 0..bytes / 10 {
            let constant = 1 + i32::try_from((step + number as usize) % 60).expect("a small number");
            sink.local_get(1).i32_const(constant).i32_mul().local_get(0).i32_rotl().local_set(1);
        }
        sink.local_get(1).end();
        code.function(&body);
    }
    let mut module = Module::new();
    module.section(&types).section(&declared).section(&code);
    module.finish()
}

/// Adds a component to a component. The inner one gets an import of the outer one, an instance of this type, as `from`.
pub fn graft_importing(component: &mut Vec<u8>, import: &str, ty: &InstanceType, inner: &[u8]) -> Result<()> {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let types = validator.validate_all(component).context("a component that can be read")?;
    let types = types.as_ref();
    let (ty_index, instance, inner_index) =
        (types.component_type_count(), types.component_instance_count(), types.component_count());
    let mut section = ComponentTypeSection::new();
    section.instance(ty);
    section.append_to_component(component);
    let mut imports = ComponentImportSection::new();
    imports.import(import, ComponentTypeRef::Instance(ty_index));
    imports.append_to_component(component);
    RawSection { id: ComponentSectionId::Component.into(), data: inner }.append_to_component(component);
    let mut instances = ComponentInstanceSection::new();
    let argument = ("from", ComponentExportKind::Instance, instance);
    instances.instantiate(inner_index, [argument]);
    instances.append_to_component(component);
    Ok(())
}

/// Splits a custom section into its name and its content.
fn custom(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = number(content).ok()?;
    rest.split_at_checked(length)
}

/// Parses a LEB128 number, as the binary format encodes lengths.
fn number(bytes: &[u8]) -> Result<(usize, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((value, &bytes[index + 1..]));
        }
    }
    anyhow::bail!("a length that does not end")
}

fn put_number(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).expect("seven bits"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_manifest_changes() {
        let head = b"\0asm\x0d\0\x01\0";
        let other = b"\0\x05\x04nameX";
        let component = |text: &str| {
            let mut bytes = [&head[..], b"\0", &[u8::try_from(16 + text.len()).unwrap(), 15], SECTION].concat();
            bytes.extend_from_slice(text.as_bytes());
            bytes
        };
        let before = [component("old").as_slice(), &other[..5]].concat();
        assert!(with_manifest(&before, str::to_owned).is_err(), "a section that is cut short");
        let other = b"\0\x06\x04nameX";
        let before = [component("old").as_slice(), other].concat();
        let after = with_manifest(&before, |old| format!("{old} and new")).unwrap();
        assert_eq!(after, [&head[..], other, &component("old and new")[8..]].concat());
    }

    #[test]
    fn a_text_is_replaced_wherever_it_stands() {
        assert_eq!(with_text(b"a@1 b@1", "@1", "@2"), b"a@2 b@2");
    }
}
