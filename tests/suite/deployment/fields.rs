//! The fields of Kubernetes' objects that the manifests use, with their types. This stands in for a validator with the
//! schemas of all objects, such as kubeconform. A field that is not listed here is refused, so that a misspelt one is
//! noticed.

use yaml_rust2::Yaml;

/// The types of objects with their fields. Behind `!` is the type of a field that has to be there, behind `?` that of
/// one that may be left out. A `map` leads from texts to texts, and `[Type]` is a list.
const TYPES: &[(&str, &str)] = &[
    ("ConfigMap", "apiVersion!text kind!text metadata!Metadata data!map"),
    ("PodDisruptionBudget", "apiVersion!text kind!text metadata!Metadata spec!Budget"),
    ("Service", "apiVersion!text kind!text metadata!Metadata spec!ServiceSpec"),
    ("StatefulSet", "apiVersion!text kind!text metadata!Metadata spec!StatefulSetSpec"),
    ("Metadata", "name!text labels?map annotations?map"),
    ("Selector", "matchLabels!map"),
    ("Budget", "maxUnavailable!int unhealthyPodEvictionPolicy?text selector!Selector"),
    ("ServiceSpec", "type?text clusterIP?text publishNotReadyAddresses?bool selector!map ports![ServicePort]"),
    ("ServicePort", "name!text port!int targetPort!text"),
    (
        "StatefulSetSpec",
        "replicas!int serviceName!text selector!Selector template!Template volumeClaimTemplates![Claim]",
    ),
    ("Template", "metadata!Labels spec!Pod"),
    ("Labels", "labels!map"),
    (
        "Pod",
        "terminationGracePeriodSeconds!int automountServiceAccountToken!bool enableServiceLinks!bool \
         securityContext!PodSecurity containers![Container] volumes![Volume]",
    ),
    (
        "PodSecurity",
        "runAsNonRoot!bool runAsUser!int runAsGroup!int fsGroup!int fsGroupChangePolicy!text seccompProfile!Seccomp",
    ),
    ("Seccomp", "type!text"),
    (
        "Container",
        "name!text image!text command?texts args?texts env?[Variable] ports?[ContainerPort] startupProbe?Probe \
         readinessProbe?Probe livenessProbe?Probe resources!Resources securityContext!Security volumeMounts![Mount]",
    ),
    // `valueFrom` is left out: secrets come as files.
    ("Variable", "name!text value!text"),
    ("ContainerPort", "name!text containerPort!int"),
    ("Probe", "exec!Exec periodSeconds!int timeoutSeconds!int failureThreshold?int"),
    ("Exec", "command!texts"),
    ("Resources", "requests!map limits!map"),
    (
        "Security",
        "runAsUser?int runAsGroup?int allowPrivilegeEscalation!bool readOnlyRootFilesystem!bool \
         capabilities!Capabilities",
    ),
    ("Capabilities", "drop!texts"),
    ("Mount", "name!text mountPath!text readOnly?bool"),
    ("Volume", "name!text configMap?ConfigVolume secret?SecretVolume emptyDir?Empty"),
    ("ConfigVolume", "name!text items![Item]"),
    ("Item", "key!text path!text"),
    ("SecretVolume", "secretName!text defaultMode!int"),
    ("Empty", "medium?text sizeLimit!text"),
    ("Claim", "metadata!Metadata spec!ClaimSpec"),
    ("ClaimSpec", "accessModes!texts resources!ClaimResources"),
    ("ClaimResources", "requests!map"),
];

/// Returns what is wrong with an object of this type, each fault with its place.
pub(super) fn faults(of: &str, object: &Yaml, place: &str) -> Vec<String> {
    let Some((_, fields)) = TYPES.iter().find(|(name, _)| *name == of) else {
        return vec![format!("{place}: no type {of} is listed")];
    };
    let Some(mapping) = object.as_hash() else { return vec![format!("{place} is no {of}")] };
    let fields: Vec<_> = fields.split_whitespace().map(field).collect();
    let mut faults = Vec::new();
    for (key, value) in mapping {
        let key = key.as_str().unwrap_or_default();
        match fields.iter().find(|(name, ..)| *name == key) {
            Some((_, kind, _)) => faults.extend(wrong(kind, value, &format!("{place}.{key}"))),
            None => faults.push(format!("{place}.{key} is not listed")),
        }
    }
    let missing = fields.iter().filter(|(name, _, is_needed)| *is_needed && object[*name].is_badvalue());
    faults.extend(missing.map(|(name, ..)| format!("{place}.{name} is missing")));
    faults
}

/// Returns the name of a field, its type, and whether it has to be there.
fn field(written: &'static str) -> (&'static str, &'static str, bool) {
    let (name, kind) = written.split_once(['!', '?']).unwrap();
    (name, kind, written.contains('!'))
}

/// Returns what is wrong with a value of this type.
fn wrong(kind: &str, value: &Yaml, place: &str) -> Vec<String> {
    let is_text = |one: &Yaml| one.as_str().is_some();
    let fits = match kind {
        "text" => is_text(value),
        "int" => value.as_i64().is_some(),
        "bool" => value.as_bool().is_some(),
        "texts" => value.as_vec().is_some_and(|list| list.iter().all(is_text)),
        "map" => value.as_hash().is_some_and(|map| map.iter().all(|(key, value)| is_text(key) && is_text(value))),
        _ => {
            let Some(of) = kind.strip_prefix('[').and_then(|kind| kind.strip_suffix(']')) else {
                return faults(kind, value, place);
            };
            let Some(list) = value.as_vec() else { return vec![format!("{place} is no list")] };
            let each = list.iter().enumerate().flat_map(|(at, one)| faults(of, one, &format!("{place}[{at}]")));
            return each.collect();
        }
    };
    if fits { Vec::new() } else { vec![format!("{place} is no {kind}")] }
}

#[test]
fn a_field_that_is_misspelt_missing_or_of_another_type_is_noticed() {
    let read = |text: &str| yaml_rust2::YamlLoader::load_from_str(text).unwrap().remove(0);
    let budget = |spec: &str| {
        let head = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: a}\n";
        faults("PodDisruptionBudget", &read(&format!("{head}spec: {spec}\n")), "a")
    };
    assert_eq!(budget("{maxUnavailable: 1, selector: {matchLabels: {a: b}}}"), [""; 0]);
    assert_eq!(budget("{maxUnavailable: 1}"), ["a.spec.selector is missing"]);
    assert_eq!(
        budget("{maxUnavailable: '1', maxAvailable: 1, selector: {matchLabels: {a: 1}}}"),
        [
            "a.spec.maxUnavailable is no int",
            "a.spec.maxAvailable is not listed",
            "a.spec.selector.matchLabels is no map"
        ]
    );
    assert_eq!(budget("[]"), ["a.spec is no Budget"]);
    let ports =
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: {a: b}, ports: [{name: x, port: 1}]}\n";
    assert_eq!(faults("Service", &read(ports), "b"), ["b.spec.ports[0].targetPort is missing"]);
}
