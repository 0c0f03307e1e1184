/**
 * Constants that each build defines; dead branches vanish from the bundle.
 *
 * | build       | STEPPED | GATED | CHECKED |
 * |-------------|---------|-------|---------|
 * | parallel    | false   | false | false   |
 * | stress      | false   | false | true    |
 * | forced      | false   | true  | true    |
 * | interleaved | true    | false | true    |
 */
declare const STEPPED: boolean;
declare const GATED: boolean;
declare const CHECKED: boolean;
/** Of the emulated kernel's source; the same in all builds made together. */
declare const CODE_HASH: string;
