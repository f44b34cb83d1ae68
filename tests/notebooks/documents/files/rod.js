// # Title

// +
let n = 3;
// -
