/**
 * The columns of a link: names, types and whether a value may be null.
 *
 * Declared in code as `{ key: "string?", count: "int64" }`; a question mark allows null. Refuses words that are no
 * type. Neighbours: `message` carries schemas, `table` lays columns out by them.
 */

/** A column's type, as the protocol numbers it. */
export const Type = { Bool: 1, Int64: 2, Float64: 3, String: 4, Binary: 5, Timestamp: 6 } as const;
export type Type = (typeof Type)[keyof typeof Type];

/** A type's word in a declaration. */
export type TypeName = "bool" | "int64" | "float64" | "string" | "binary" | "timestamp";

const NAMES: readonly (TypeName | "")[] = ["", "bool", "int64", "float64", "string", "binary", "timestamp"];

/** One column. */
export interface Field {
  readonly name: string;
  readonly type: Type;
  readonly nullable: boolean;
}

/** The columns of a link, in order. */
export interface Schema {
  readonly fields: readonly Field[];
}

/** Columns as code declares them, such as `{ key: "string?", count: "int64" }`. */
export type Declaration = Readonly<Record<string, TypeName | `${TypeName}?`>>;

/** A value of a column, as code that handles single events sees it. */
export type Value = null | boolean | number | bigint | string | Uint8Array;

/** An event: its columns by name. Untyped unless a handler names its own type, so that a rule needs no casts. */
export type Event = Record<string, any>;

/** The word for a type. */
export function typeName(type: Type): TypeName {
  return NAMES[type] as TypeName;
}

/** Reads a declaration; throws a `TypeError` that names the column whose type is no word of the list. */
export function declared(declaration: Declaration): Schema {
  const fields = Object.entries(declaration).map(([name, word]) => {
    const nullable = word.endsWith("?");
    const type = NAMES.indexOf((nullable ? word.slice(0, -1) : word) as TypeName);
    if (type < 1) {
      const words = NAMES.slice(1).join("`, `");
      throw new TypeError(
        `column \`${name}\` is declared as \`${word}\`, which is no type; the types are \`${words}\`, each with a \`?\` behind it if the column may be null`,
      );
    }
    return { name, type: type as Type, nullable };
  });
  return { fields };
}

/** Whether two links have the same columns. */
export function sameSchema(a: Schema, b: Schema): boolean {
  return (
    a.fields.length === b.fields.length &&
    a.fields.every((field, at) => {
      const other = b.fields[at];
      return field.name === other?.name && field.type === other.type && field.nullable === other.nullable;
    })
  );
}

/** The columns of raw text: one line, or a block of whole lines, in `text`. */
export const RAW: Schema = declared({
  source: "string",
  offset: "int64",
  line: "int64?",
  text: "binary",
});

/** What to say about a column that is not there. */
export function noColumn(name: string, schema: Schema): string {
  const names = schema.fields.map((field) => `\`${field.name}\``).join(", ");
  return `there is no column \`${name}\`; the columns are ${names || "none"}; \`uses:\` of this stage in the pipeline adds one`;
}
