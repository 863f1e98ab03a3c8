// node-gyp asks for a folder of Node's headers although the only target of binding.gyp needs none (CMake takes them from
// the package node-api-headers). Where the user configured no folder it gets an empty one, so that nothing is downloaded.
'use strict'
const path = require('node:path')
process.env.npm_config_nodedir ||= path.join(__dirname, 'gyp-nodedir')
require('node-gyp-build/bin.js')
