"""Whatever a language lets a programmer call a function or a class by is its name, small or taken apart."""

from __future__ import annotations

from pathlib import PurePath

import pytest

from modernbert.index import chunks
from modernbert.index.chunks import LARGEST, cut_file

BODY = "{\n  return 1\n}\n"
JAVASCRIPT = {
    f"function add(a) {BODY}": "add",
    f"async function load(a) {BODY}": "load",
    "function* steps() {\n  yield 1\n}\n": "steps",
    f"const add = (a) => {BODY}": "add",
    "const add = a => a + 1\n": "add",
    f"let add = function (a) {BODY}": "add",
    f"var add = async function inner(a) {BODY}": "add",
    f"export const add = async (a) => {BODY}": "add",
    f"export function add(a) {BODY}": "add",
    f"export default function add(a) {BODY}": "add",
    f"export default function () {BODY}": "default",
    f"export default async () => {BODY}": "default",
    "export default class extends Base {\n  run() {}\n}\n": "default",
    f"module.exports = function (a) {BODY}": "module.exports",
    f"module.exports.add = function (a) {BODY}": "module.exports.add",
    f"exports.add = (a) => {BODY}": "exports.add",
    f"Store.prototype.add = function (a) {BODY}": "Store.prototype.add",
    f"window.add = () => {BODY}": "window.add",
    "class Store extends Base {\n  add() {}\n}\n": "Store",
    "export class Store {\n  add() {}\n}\n": "Store",
    "const Store = class {\n  add() {}\n}\n": "Store",
    f"const routes = {{\n  add() {BODY}}}\n": "routes",
    f"export default {{\n  data() {BODY}}}\n": "default",
    f"const Card = React.memo(function Inner(a) {BODY})\n": "Card",
    "export const useStore = create((set) => ({\n  add: () => set(1),\n}))\n": "useStore",
}
TYPESCRIPT = {
    f"export const same = <T,>(a: T): T => {BODY}": "same",
    f"const add: Adder = (a) => {BODY}": "add",
    "export type Pair = {\n  a: string\n}\n": "Pair",
    "export interface Pair {\n  a: string\n}\n": "Pair",
    "export abstract class Store {\n  abstract add(): void\n}\n": "Store",
    "@Injectable()\nexport class Store {\n  @Input() a: string\n}\n": "Store",
    "declare module 'store' {\n  function add(): void\n}\n": "store",
    f"namespace Shop {{\n  export function add() {BODY}}}\n": "Shop",
    "export enum Kind {\n  A,\n}\n": "Kind",
}
OTHERS = [
    (".tsx", "export const App: React.FC<P> = ({ a }) => {\n  return <b>{a}</b>\n}\n", "App"),
    (".tsx", "export const App = memo(({ a }) => {\n  return <b>{a}</b>\n})\n", "App"),
    (".py", "async def load():\n    return 1\n", "load"),
    (".py", "@cache\n@retry(3)\nasync def load():\n    return 1\n", "load"),
    (".py", "@dataclass\nclass Store:\n    a: int\n", "Store"),
    (".py", "double = lambda x: (\n    2 * x\n)\n", "double"),
    (".go", "package a\n\nfunc (s *Store) Get(k string) string {\n\treturn k\n}\n", "Store.Get"),
    (".go", "package a\n\nfunc (s Store[K, V]) Get(k K) V {\n\treturn s.m[k]\n}\n", "Store.Get"),
    (".go", "package a\n\ntype Store struct {\n\tA int\n}\n", "Store"),
    (".go", "package a\n\nvar Less = func(a, b int) bool {\n\treturn a < b\n}\n", "Less"),
    (".rs", "impl Store {\n    fn get(&self) -> i32 {\n        1\n    }\n}\n", "Store"),
    (".rs", "impl<T> Display for Store<T> {\n    fn fmt(&self) {}\n}\n", "Store"),
    (".rs", "macro_rules! add {\n    () => {}\n}\n", "add"),
    (".rs", "pub mod inner {\n    fn add() {}\n}\n", "inner"),
    (".java", "@Service\npublic class Store {\n  int a;\n}\n", "Store"),
    (".java", "public record Pair(int a) {\n  int b() { return 1; }\n}\n", "Pair"),
    (".c", "static int *add(int a) {\n  return 0;\n}\n", "add"),
    (".c", "int (*pick(int a))(void) {\n  return 0;\n}\n", "pick"),
    (".c", "typedef struct {\n  int a;\n} Pair;\n", "Pair"),
    (".h", "#ifndef A_H\n#define A_H\nint add(int a) {\n  return a;\n}\n#endif\n", "add"),
    (".cpp", "template <class T>\nT same(T a) {\n  return a;\n}\n", "same"),
    (".cpp", "template <class T>\nclass Store {\n  T a;\n};\n", "Store"),
    (".cpp", "int& Store::get(int a) {\n  return b;\n}\n", "Store::get"),
    (".cpp", "bool operator<(A a, A b) {\n  return 1;\n}\n", "operator<"),
    (".cpp", "auto add = [](int a) {\n  return a;\n};\n", "add"),
    (".cpp", 'extern "C" {\nint add(int a) {\n  return 1;\n}\n}\n', "add"),
    (".rb", "def self.add(a)\n  a\nend\n", "add"),
    (".rb", "ADD = ->(a) {\n  a\n}\n", "ADD"),
    (".php", "<?php\n$add = function ($a) {\n  return $a;\n};\n", "$add"),
    (".cs", "public record Pair(int A);\n", "Pair"),
]
FORMS = [
    *((".js", text, name) for text, name in JAVASCRIPT.items()),
    *((".ts", text, name) for text, name in {**JAVASCRIPT, **TYPESCRIPT}.items()),
    *OTHERS,
]


@pytest.mark.parametrize(("suffix", "text", "name"), FORMS)
def test_every_form_of_a_definition_has_its_name(suffix, text, name):
    found = {chunk.name for chunk in cut_file(PurePath(f"a{suffix}"), text)}
    assert name in found and found <= {name, ""}


LINES = "\n".join(f"  total += value_{i} * weight_{i}" for i in range(60))


@pytest.mark.parametrize(
    ("suffix", "text", "names"),
    [
        (".js", f"class A {{\n  run = () => {{\n{LINES}\n  }}\n  stop() {{}}\n}}\n",
         {"A", "A.run", "A.stop"}),
        (".js", f"const o = {{\n  run() {{\n{LINES}\n  }},\n  stop: () => 1,\n}}\n",
         {"o", "o.run", "o.stop"}),
        (".ts", f"@Injectable()\nexport class A {{\n  run() {{\n{LINES}\n  }}\n}}\n", {"A", "A.run"}),
        (".js", f"export const add = (a) => {{\n{LINES}\n}}\n", {"add"}),
        (".js", f"(function () {{\n  function add() {{\n{LINES}\n  }}\n}})()\n", {"add", ""}),
        (".rs", f"impl Store {{\n  fn get() {{\n{LINES}\n  }}\n  fn put() {{}}\n}}\n",
         {"Store", "Store.get", "Store.put"}),
        (".go", f"package a\n\nfunc (s *Store) Get() {{\n{LINES}\n}}\n", {"", "Store.Get"}),
        (".py", f"class A:\n  b = 1\n  async def run(self):\n{LINES}\n", {"A", "A.run"}),
        (".py", f"@cache\ndef run(total):\n{LINES}\n", {"run"}),
    ],
)  # fmt: skip
def test_what_is_large_keeps_its_names(suffix, text, names):
    assert len(text) > LARGEST
    assert {chunk.name for chunk in cut_file(PurePath(f"a{suffix}"), text)} == names


def test_members_of_a_large_enumeration_stay_together(monkeypatch):
    monkeypatch.setattr(chunks, "LARGEST", 200)
    members = "".join(f"    MEMBER_{i},\n" for i in range(40))
    for suffix in (".rs", ".java", ".ts", ".c"):
        found = cut_file(PurePath(f"a{suffix}"), f"enum Kind {{\n{members}}}\n")
        assert {chunk.name for chunk in found} == {"Kind"}
        assert len(found) < 6


def test_plain_values_are_no_definitions():
    text = "const a = 1\nlet b = items.map((x) => x.y)\nfoo(() => 1)\nvar c = { d: 1 }\n"
    assert [chunk.name for chunk in cut_file(PurePath("a.js"), text)] == [""]
