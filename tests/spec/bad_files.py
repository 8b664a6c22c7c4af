"""Graph files that are wrong: name -> (text, problems as they are told). The actions `add` and `get` are registered."""

ACTIONS = ("add", "get")

GET = "{id: get, action: get, outputs: [page, status]}"


def nodes(*entries):
    return "name: g\nnodes:\n" + "".join(f"  - {entry}\n" for entry in entries)


def node(fields):
    """One node `a`, whose other fields are in line 3."""
    return nodes("{id: a, action: add, " + fields + "}")


def head(fields):
    """A sound graph, with more from line 4 on."""
    return nodes("{id: a, action: add}") + fields


BETWEEN = {
    "duplicate id": (
        nodes(GET, "{id: a, action: add}", "{id: get, action: add}"),
        ["f.yaml:5: node 'get': a second node has this id; the first is in line 3"],
    ),
    "reserved id": (nodes("{id: inputs, action: add}"), ["f.yaml:3: node id 'inputs' is reserved: choose another"]),
    "missing dependency": (
        nodes(GET, "{id: a, action: add, dependencies: [gte]}"),
        ["f.yaml:4: node 'a': dependency 'gte' is not a node; did you mean 'get'?"],
    ),
    "cycle": (
        nodes(
            "{id: a, action: add, dependencies: [c]}",
            "{id: b, action: add, inputs: {x: a.sum}}",
            "{id: c, action: add, dependencies: [b]}",
        ),
        ["f.yaml:3: the nodes wait for each other: a -> b -> c -> a"],
    ),
    "cycle of one": (node("dependencies: [a]"), ["f.yaml:3: the node waits for itself: a -> a"]),
    "unknown action": (
        nodes("{id: a, action: ad}"),
        ["f.yaml:3: node 'a': action 'ad' is not registered; did you mean 'add'?"],
    ),
    "unknown failure action": (
        node("failure: sorry"),
        ["f.yaml:3: node 'a': failure action 'sorry' is not registered; registered: add, get"],
    ),
    "reference to an unknown node": (
        nodes(GET, "{id: a, action: add, inputs: {x: got.page}}"),
        ["f.yaml:4: node 'a': input 'x': 'got.page': there is no node 'got'; did you mean 'get'?"],
    ),
    "reference to an unknown output": (
        nodes(GET, "{id: a, action: add, inputs: {x: get.pages}}"),
        ["f.yaml:4: node 'a': input 'x': 'get.pages': node 'get' has no output 'pages'; did you mean 'page'?"],
    ),
    "reference to an undeclared run input": (
        nodes("{id: a, action: add, inputs: {x: inputs.ulr}}") + "inputs: {url: string}\n",
        ["f.yaml:3: node 'a': input 'x': run input 'ulr' is not declared; did you mean 'url'?"],
    ),
    "no reference": (
        node("inputs: {x: two words}"),
        ["f.yaml:3: node 'a': input 'x': 'two words' is no reference: ' words' is neither .name nor [index]"],
    ),
    "when a missing node says so": (
        nodes(GET, "{id: a, action: add, when: {reference: got.page, gt: 1}}"),
        ["f.yaml:4: node 'a': when: 'got.page': there is no node 'got'; did you mean 'get'?"],
    ),
    "when it says so itself": (node("when: a.ok"), ["f.yaml:3: the node waits for itself: a -> a"]),
    "map over a missing node": (
        nodes(GET, "{id: a, action: add, map: gte.page}"),
        ["f.yaml:4: node 'a': map: 'gte.page': there is no node 'gte'; did you mean 'get'?"],
    ),
    "item without a map": (
        node("inputs: {x: item.title}"),
        ["f.yaml:3: node 'a': input 'x': 'item.title': only the inputs of a node with `map` have an item"],
    ),
    "when an item says so": (
        node("map: inputs.l, when: item.ok"),
        ["f.yaml:3: node 'a': when: 'item.ok': only the inputs of a node with `map` have an item"],
    ),
    "map over an item": (
        node("map: item.parts"),
        ["f.yaml:3: node 'a': map: 'item.parts': only the inputs of a node with `map` have an item"],
    ),
    "node called item beside a map": (
        nodes("{id: item, action: get}", "{id: a, action: add, map: item.list, inputs: {x: item}}"),
        ["f.yaml:4: node 'a': map: its inputs call an item of the list 'item'; give the node 'item' another id"],
    ),
    "key of a cache that is no input": (
        node("cache: {key: ulr}, inputs: {url: inputs.url}"),
        ["f.yaml:3: node 'a': cache: key 'ulr' is no input of the node; did you mean 'url'?"],
    ),
    "key of a cache for an item without a map": (
        node("cache: {key: item}"),
        ["f.yaml:3: node 'a': cache: key 'item' is no input of the node; its inputs: none"],
    ),
    "cache of a graph": (
        nodes("{id: a, graph: sub, cache: true}"),
        ["f.yaml:3: node 'a': cache: a graph is not reused as a whole; put it on the nodes of graph 'sub'"],
    ),
    "graph that contains itself": (
        nodes(GET, "{id: a, graph: g}"),
        ["f.yaml:4: node 'a': the graph contains itself: g -> g"],
    ),
    "two outputs of one name": (
        node("outputs: [x, {name: x}]"),
        ["f.yaml:3: node 'a': there are two outputs 'x'; the first is in line 3"],
    ),
    "two inputs of one name": (
        node("inputs: [{name: x, value: 1}, {name: x, value: 2}]"),
        ["f.yaml:3: node 'a': there are two inputs 'x'; the first is in line 3"],
    ),
    "default of another type": (
        head("inputs:\n  n: {type: integer, default: x}\n"),
        ["f.yaml:5: run input 'n': the default \"x\" is not of type integer"],
    ),
    "types that are spelled otherwise": (
        head("inputs:\n  n: {type: [string, {}]}\n"),
        ["f.yaml:5: run input 'n': type must be a type's name or a list of names"],
    ),
}
"""Wrong between the nodes: no schema can tell."""

WITHIN = {
    "unknown key of the graph": (
        head("tag: [x]\n"),
        ["f.yaml:4: unknown key 'tag'; did you mean 'tags'?"],
    ),
    "unknown key of a node": (
        node("dependancies: [x]"),
        ["f.yaml:3: node 'a': unknown key 'dependancies'; did you mean 'dependencies'?"],
    ),
    "unknown key like no other": (
        head("zzz: 1\n"),
        [
            (
                "f.yaml:4: unknown key 'zzz'; keys: "
                "name, description, nodes, instructions, tags, author, version, signature, config, inputs"
            )
        ],
    ),
    "unknown key of an input": (
        node("inputs: [{name: x, ref: inputs.x, reference: inputs.x}]"),
        ["f.yaml:3: node 'a': input 'x': unknown key 'ref'; keys: name, description, reference, value"],
    ),
    "unknown key of an output": (
        node("outputs: [{name: x, type: string}]"),
        ["f.yaml:3: node 'a': outputs: unknown key 'type'; keys: name, description"],
    ),
    "no name": ("nodes: [{id: a, action: add}]", ["f.yaml:1: a graph needs a name"]),
    "null name": ("nodes: [{id: a, action: add}]\nname: ~", ["f.yaml:2: a graph needs a name"]),
    "empty name": ("nodes: [{id: a, action: add}]\nname: ''", ["f.yaml:2: a graph needs a name"]),
    "no nodes": ("description: x\nname: g\n", ["f.yaml:1: graph 'g' has no nodes"]),
    "empty nodes": ("name: g\nnodes: []\n", ["f.yaml:2: graph 'g' has no nodes"]),
    "no id": (nodes("action: add"), ["f.yaml:3: node '#1': its id is missing"]),
    "null id": (nodes("{action: add, id: }"), ["f.yaml:3: node '#1': its id is missing"]),
    "no action": (nodes("id: a"), ["f.yaml:3: node 'a': it has neither an action nor a graph; give one"]),
    "action and graph": (node("graph: sub"), ["f.yaml:3: node 'a': it has both an action and a graph; give one"]),
    "empty graph": (
        nodes("{id: a, graph: '', action: ~}"),
        ["f.yaml:3: node 'a': it has neither an action nor a graph; give one"],
    ),
    "graph as a list": (nodes("{id: a, graph: [x]}"), ["f.yaml:3: node 'a': graph must be a text, not a list"]),
    "unknown test": (
        node("when: {reference: inputs.n, gtt: 3}"),
        ["f.yaml:3: node 'a': when: unknown key 'gtt'; did you mean 'gt'?"],
    ),
    "tests of other types": (
        node("when: {reference: inputs.n, in: 3, gt: [1], lt: true, equals: ~, gte: ~}"),
        [
            "f.yaml:3: node 'a': when: in must be a list, not 3",
            "f.yaml:3: node 'a': when: gt must be a number or a text, not [1]",
            "f.yaml:3: node 'a': when: lt must be a number or a text, not true",
            "f.yaml:3: node 'a': when: gte must be a number or a text, not null",
        ],
    ),
    "test without a reference": (node("when: {gt: 3}"), ["f.yaml:3: node 'a': when: it needs a reference"]),
    "test with what is no reference": (
        node("when: {reference: [x], gt: 3}"),
        ["f.yaml:3: node 'a': when: reference must be a text, not a list"],
    ),
    "test with what is not JSON": (
        node("when: {reference: inputs.n, gt: .nan}"),
        ["f.yaml:3: node 'a': when: gt: '.nan' is not a JSON number; use null or a text for it"],
    ),
    "when as a number": (
        node("when: 3"),
        ["f.yaml:3: node 'a': when must be a reference, or {reference, equals: …}, not '3'"],
    ),
    "when as a list": (
        node("when: [inputs.x]"),
        ["f.yaml:3: node 'a': when must be a reference, or {reference, equals: …}, not a list"],
    ),
    "when as two words": (
        node("when: 9 lives"),
        [
            (
                "f.yaml:3: node 'a': when: '9 lives' is no reference; "
                "write node_id.output_name or inputs.name, then a path if need be"
            )
        ],
    ),
    "map over a list": (
        node("map: [1, 2], inputs: {x: item.title}"),
        ["f.yaml:3: node 'a': map takes a reference to a list, not the list itself: a node or a run input holds it"],
    ),
    "map over a number": (
        node("map: 3"),
        ["f.yaml:3: node 'a': map must be a reference, or {reference, max_parallel}, not '3'"],
    ),
    "map over nothing": (node("map: {max_parallel: 2}"), ["f.yaml:3: node 'a': map: it needs a reference"]),
    "unknown key of a map": (
        node("map: {reference: inputs.l, max_paralel: 2}, inputs: {x: item}"),
        ["f.yaml:3: node 'a': map: unknown key 'max_paralel'; did you mean 'max_parallel'?"],
    ),
    "max_parallel of zero": (
        node("map: {reference: inputs.l, max_parallel: 0}"),
        ["f.yaml:3: node 'a': map: max_parallel 0 must be a whole number of at least 1"],
    ),
    "max_parallel as a word": (
        node("map: {reference: inputs.l, max_parallel: two}"),
        ["f.yaml:3: node 'a': map: max_parallel must be a whole number, not 'two'"],
    ),
    "cache as a word": (
        node("cache: no"),
        ["f.yaml:3: node 'a': cache: must be true, or {key: [names of inputs], ttl: 30d}, not 'no'"],
    ),
    "unknown key of a cache": (
        node("cache: {keys: x}"),
        ["f.yaml:3: node 'a': cache: unknown key 'keys'; did you mean 'key'?"],
    ),
    "key of a cache as a number": (
        node("cache: {key: 5}"),
        ["f.yaml:3: node 'a': cache: key must be the name of an input or a list of such names, not 5"],
    ),
    "ttl of zero": (
        node("cache: {ttl: 0d}"),
        [("f.yaml:3: node 'a': cache: ttl: must be a number of seconds above 0, or of s, m, h, d or w: 30d; not '0d'")],
    ),
    "bad id": (
        nodes("{id: a b, action: add}"),
        ["f.yaml:3: node id 'a b' must be letters, digits, _ and -, and begin with a letter or _"],
    ),
    "endless id": (
        nodes("{id: " + "x" * 201 + ", action: add}"),
        ["f.yaml:3: node '#1': node id 'xxxxxxxxxxxxxxxxxxxx…' is longer than 200 characters: choose a shorter one"],
    ),
    "id that is a list": (nodes("{id: [a], action: add}"), ["f.yaml:3: node '#1': id must be a text, not a list"]),
    "nodes as a mapping": (
        "name: g\nnodes:\n  a: {action: add}\n",
        ["f.yaml:3: nodes must be a list of nodes, each with `id` and `action`, not a mapping"],
    ),
    "nodes as a text": (
        "name: g\nnodes: add\n",
        ["f.yaml:2: nodes must be a list of nodes, each with `id` and `action`, not 'add'"],
    ),
    "node as a text": (nodes("a"), ["f.yaml:3: node '#1': a node is a mapping with `id` and `action`, not 'a'"]),
    "name as a list": ("name: [g]\nnodes: [{id: a, action: add}]", ["f.yaml:1: name must be a text, not a list"]),
    "action as a mapping": (
        nodes("{id: a, action: {name: add}}"),
        ["f.yaml:3: node 'a': action must be a text, not a mapping"],
    ),
    "dependencies as a text": (
        node("dependencies: b"),
        ["f.yaml:3: node 'a': dependencies must be a list of texts, not 'b'; write [b]"],
    ),
    "dependency that is a mapping": (
        node("dependencies: [{id: b}]"),
        ["f.yaml:3: node 'a': an entry of dependencies must be a text, not a mapping"],
    ),
    "tags as a text": (head("tags: x\n"), ["f.yaml:4: tags must be a list of texts, not 'x'; write [x]"]),
    "null tag": (
        head("tags:\n  - x\n  - ~\n"),
        ["f.yaml:6: an entry of tags must be a text, not nothing; a text that says null needs quotes"],
    ),
    "timeout of zero": (node("timeout: 0"), ["f.yaml:3: node 'a': timeout 0 must be a number of seconds above 0"]),
    "timeout below zero": (
        node("timeout: -1.5"),
        ["f.yaml:3: node 'a': timeout -1.5 must be a number of seconds above 0"],
    ),
    "timeout as a text": (
        node("timeout: 5 minutes"),
        ["f.yaml:3: node 'a': timeout must be a number of seconds above 0, not '5 minutes'"],
    ),
    "timeout in quotes": (
        node("timeout: '5'"),
        ["f.yaml:3: node 'a': timeout must be a number of seconds above 0, not '5'"],
    ),
    "try_count of zero": (
        node("try_count: 0"),
        ["f.yaml:3: node 'a': try_count 0 must be a whole number of at least 1"],
    ),
    "try_count as a fraction": (
        node("try_count: 2.5"),
        ["f.yaml:3: node 'a': try_count must be a whole number, not '2.5'"],
    ),
    "priority as a word": (node("priority: high"), ["f.yaml:3: node 'a': priority must be a whole number, not 'high'"]),
    "onfailure as a word": (
        node("onfailure: no"),
        ["f.yaml:3: node 'a': onfailure must be true or false, not 'no'"],
    ),
    "unknown on_failure": (
        node("on_failure: halt"),
        ["f.yaml:3: node 'a': on_failure 'halt' must be one of continue, pause, stop"],
    ),
    "unknown run_when": (
        node("run_when: always"),
        ["f.yaml:3: node 'a': run_when 'always' must be one of succeeded, finished"],
    ),
    "inputs as a text": (
        node("inputs: x"),
        ["f.yaml:3: node 'a': inputs must be a list of {name, reference}, or a mapping of names to references"],
    ),
    "input as a text": (
        node("inputs: [x]"),
        ["f.yaml:3: node 'a': an input must be {name, reference} or {name, value}, not 'x'"],
    ),
    "input without a name": (
        node("inputs: [{reference: inputs.x}]"),
        ["f.yaml:3: node 'a': an input needs a name"],
    ),
    "input with nothing": (
        node("inputs: [{name: x, description: y}]"),
        ["f.yaml:3: node 'a': input 'x': it has neither a reference nor a value"],
    ),
    "input with both": (
        node("inputs: [{name: x, reference: inputs.x, value: 1}]"),
        ["f.yaml:3: node 'a': input 'x': it has both a reference and a value; give one"],
    ),
    "short input that is a number": (
        node("inputs: {x: 3}"),
        ["f.yaml:3: node 'a': input 'x': '3' is no reference; a literal is written {value: …}"],
    ),
    "short input that is a list": (
        node("inputs: {x: [1]}"),
        ["f.yaml:3: node 'a': input 'x': a list is no reference; a literal is written {value: …}"],
    ),
    "null input": (
        node("inputs: {x: }"),
        ["f.yaml:3: node 'a': input 'x': it has neither a reference nor a value"],
    ),
    "outputs as a mapping": (
        node("outputs: {x: y}"),
        ["f.yaml:3: node 'a': outputs must be a list of names, or of {name, description}, not a mapping"],
    ),
    "output without a name": (node("outputs: [{description: x}]"), ["f.yaml:3: node 'a': an output needs a name"]),
    "empty output": (node("outputs: ['']"), ["f.yaml:3: node 'a': an output needs a name"]),
    "output that is a list": (
        node("outputs: [[x]]"),
        ["f.yaml:3: node 'a': an output must be a text, not a list"],
    ),
    "config as a list": (head("config: [x]\n"), ["f.yaml:4: config must be a mapping of settings, not a list"]),
    "settings out of their ranges": (
        head("config:\n  max_attempts: 0\n  timeout_seconds: 86401\n  durability: no\n"),
        [
            "f.yaml:5: config: max_attempts: 0: must be a whole number of at least 1",
            "f.yaml:6: config: timeout_seconds: 86401: must be a number from 1 to 86400, or none",
            "f.yaml:7: config: durability: 'no': must be one of sync, async",
        ],
    ),
    "unknown setting": (
        head("config: {max_atempts: 2}\n"),
        ["f.yaml:4: config: unknown setting 'max_atempts'; did you mean 'max_attempts'?"],
    ),
    "unknown retry strategy": (
        head("config: {retry_strategy: {lineal: {delay_secs: 1}}}\n"),
        [
            (
                "f.yaml:4: config: retry_strategy: {'lineal': {'delay_secs': 1}}: "
                "must be immediate, {linear: {delay_secs}} or {exponential: {initial_delay_secs, …}}"
            )
        ],
    ),
    "retry strategy out of its range": (
        head("config: {retry_strategy: {exponential: {multiplier: 0.5}}}\n"),
        [
            (
                "f.yaml:4: config: retry_strategy: {'exponential': {'multiplier': 0.5}}: "
                "multiplier must be a number of at least 1"
            )
        ],
    ),
    "run inputs as a list": (
        head("inputs: [x]\n"),
        ["f.yaml:4: inputs must be a mapping of names to types, not a list"],
    ),
    "run input of an unknown type": (
        head("inputs: {x: str}\n"),
        ["f.yaml:4: run input 'x': 'str' is no type; did you mean 'string'?"],
    ),
    "run input as a list": (
        head("inputs: {x: [string]}\n"),
        ["f.yaml:4: run input 'x': write a type's name, or {type, default, description}"],
    ),
    "unknown key of a run input": (
        head("inputs: {x: {typ: string}}\n"),
        ["f.yaml:4: run input 'x': unknown key 'typ'; did you mean 'type'?"],
    ),
    "list as a file": ("- a\n- b\n", ["f.yaml:1: a graph file is a mapping with `name` and `nodes`, not a list"]),
    "text as a file": (
        "just a text\n",
        ["f.yaml:1: a graph file is a mapping with `name` and `nodes`, not 'just a text'"],
    ),
    "null as a file": ("~\n", ["f.yaml:1: a graph file is a mapping with `name` and `nodes`, not nothing"]),
}
"""Wrong in themselves: a schema can tell."""

TEXT = {
    "empty": ("", ["f.yaml:1: the file is empty; a graph needs `name` and `nodes`"]),
    "only a comment": ("# nothing\n", ["f.yaml:1: the file is empty; a graph needs `name` and `nodes`"]),
    "duplicate key": (
        "name: g\nnodes:\n- id: a\n  action: add\n  timeout: 1\n  action: get\n",
        ["f.yaml:6: duplicate key 'action': line 4 has it already"],
    ),
    "duplicate key in a literal": (
        node("inputs: {x: {value: {k: 1, k: 2}}}"),
        ["f.yaml:3: duplicate key 'k': line 3 has it already"],
    ),
    "tag that would execute code": (
        "name: !!python/object/apply:os.system ['touch /tmp/pwned']\nnodes: [{id: a, action: add}]\n",
        [
            "f.yaml:1: the tag !!python/object/apply:os.system is not allowed: a graph file is plain data; remove it",
            "f.yaml:1: name must be a text, not a list",
        ],
    ),
    "tag of somebody": (
        head("author: !env USER\n"),
        ["f.yaml:4: the tag !env is not allowed: a graph file is plain data; remove it"],
    ),
    "tag that does not fit": (
        node("inputs: {x: {value: !!int word}}"),
        ["f.yaml:3: node 'a': input 'x': value: 'word' does not fit its tag !!int"],
    ),
    "tag of another kind": (
        head("tags: !!map [x]\n"),
        ["f.yaml:4: the tag !!map does not fit here; remove it"],
    ),
    "alias without an anchor": (
        head("author: *me\n"),
        ["f.yaml:4: alias *me: there is no anchor &me before it"],
    ),
    "alias inside itself": (
        head("tags: &tags [*tags]\n"),
        ["f.yaml:4: alias *tags stands inside its own anchor: it would never end"],
    ),
    "merge key": (
        "name: g\nnodes:\n- &a {id: a, action: add}\n- <<: *a\n  id: b\n",
        [
            "f.yaml:4: merge keys (<<) are not in YAML 1.2; write the keys out",
            "f.yaml:4: node 'b': it has neither an action nor a graph; give one",
        ],
    ),
    "two documents": (
        "name: g\nnodes: [{id: a, action: add}]\n---\nname: h\n",
        ["f.yaml:3: a second document begins here; a file holds one graph"],
    ),
    "key that is a list": (head("? [a]\n: b\n"), ["f.yaml:4: a key must be a text, not a list"]),
    "key of a literal that is a number": (
        node("inputs: {x: {value: {1: a}}}"),
        ["f.yaml:3: node 'a': input 'x': value: the key 1 is not a text; quote it"],
    ),
    "endless timeout": (
        node("timeout: .inf"),
        ["f.yaml:3: node 'a': timeout: '.inf' is not a JSON number; use null or a text for it"],
    ),
    "literals that are not JSON": (
        node("inputs: {x: {value: [.nan, -.inf]}, y: {value: 1e999}}"),
        [
            "f.yaml:3: node 'a': input 'x': value: '.nan' is not a JSON number; use null or a text for it",
            "f.yaml:3: node 'a': input 'x': value: '-.inf' is not a JSON number; use null or a text for it",
            "f.yaml:3: node 'a': input 'y': value: '1e999' is too large for a number",
        ],
    ),
    "broken flow": (
        "name: [1,\n",
        ["f.yaml:1: not valid YAML: did not find expected node content (while parsing a flow node)"],
    ),
    "value that never comes": ("name: g\nnodes:", ["f.yaml:2: graph 'g' has no nodes"]),
    "tab": (
        "name: g\n\tx: y\n",
        [
            ("f.yaml:2: not valid YAML: found a tab character that violates indentation "
            "(while scanning a plain scalar, line 1)")
        ],
    ),
    "colon in a text": (
        "name: g\ndescription: a: b\n",
        ["f.yaml:2: not valid YAML: mapping values are not allowed in this context"],
    ),
    "control character": (
        "name: g\ndescription: é\x07\n",
        ["f.yaml:2: not valid YAML: the character U+0007 is not allowed; escape it"],
    ),
    "lone surrogate": (
        "name: g\ndescription: \ud800\n",
        ["f.yaml:2: the text has a lone surrogate, which is no character; remove it"],
    ),
    "not UTF-8": (b"name: g\ndescription: \xff\n", ["f.yaml:2: not UTF-8: byte 0xff; save the file as UTF-8"]),
    "UTF-16": ("name: g".encode("utf-16"), ["f.yaml:1: not UTF-8: byte 0xff; save the file as UTF-8"]),
    "too large": ("x" * (10 * 1024 * 1024 + 1), ["f.yaml:1: the file is larger than 10 MiB; split the graph"]),
    "too deep": (head("tags: " + "[" * 1000), ["f.yaml:4: nested deeper than 220 levels"]),
    "too deep by aliases": (
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 1000)),
        ["f.yaml:220: alias *a218: nested deeper than 220 levels"],
    ),
    "literal too deep": (
        node("inputs: {x: {value: " + "[" * 205 + "]" * 205 + "}}"),
        ["f.yaml:3: node 'a': input 'x': value: at $: nested deeper than 200 levels"],
    ),
    "bomb": (
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30)),
        ["f.yaml:6: more than 1,000,000 values, aliases expanded; split the graph"],
    ),
    "bomb of text": (
        node("description: &t " + "x" * 1_000_000 + ", instructions: [" + "*t, " * 100 + "]"),
        ["f.yaml:3: alias *t: the aliases repeat more than 10 MiB of text"],
    ),
}  # fmt: skip
"""Wrong as a text: what a YAML reader with limits refuses."""

BAD = {**BETWEEN, **WITHIN, **TEXT}
