"""Golden bytes of the wire: the frames and the signature vectors of mexc-protocol §1.5 and §3.1, read 2026-11-22.

Imported by the tests of both ends, the adapter's and the simulator's. Imports nothing.
"""

# Frames 1 to 3, serialised by google's protobuf.
SEND_TIME_MS = 1789897517479
DEPTH_FRAME = bytes.fromhex(
    "0a2f73706f74407075626c69632e61676772652e64657074682e76332e6170692e7062403130306d7340425443555344541a07425443555344"
    "5430a7d3d2f18b34ca13540a0d0a0838303533352e383912013012100a0838303533352e38381204302e32351a2773706f74407075626c6963"
    "2e61676772652e64657074682e76332e6170692e7062403130306d7322033130312a03313033"
)
DEALS_FRAME = bytes.fromhex(
    "0a2e73706f74407075626c69632e61676772652e6465616c732e76332e6170692e70624031306d7340425443555344541a0742544355534454"
    "30a7d3d2f18b34d213430a190a0838303533352e38391204302e30311801209ed3d2f18b34122673706f74407075626c69632e61676772652e"
    "6465616c732e76332e6170692e70624031306d73"
)
ORDER_FRAME = bytes.fromhex(
    "0a1d73706f7440707269766174652e6f72646572732e76332e6170692e70621a074254435553445430a7d3d2f18b348213420a064330325f5f"
    "311204636964311a0538303030302204302e30312a033830303201303801400152033830305a04302e30316a013072013078018001d8d2d2f1"
    "8b34"
)

# (secret, query, body, signature), in the order of the table.
DOCS_SECRET = "45d0b3c26f2644f19bfb98b07741b2f5"
TAIL = "timestamp=1700000000000&recvWindow=5000"

VECTORS = [
    (
        DOCS_SECRET,
        "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=11&recvWindow=5000&timestamp=1644489390087",
        "",
        "fd3e4e8543c5188531eb7279d68ae7d26a573d0fc5ab0d18eb692451654d837a",
    ),
    (
        DOCS_SECRET,
        "symbol=BTCUSDT&side=BUY&type=LIMIT",
        "quantity=1&price=11&recvWindow=5000&timestamp=1644489390087",
        "d1a676610ceb39174c8039b3f548357994b2a34139a8addd33baadba65684592",
    ),
    (
        "testSecret",
        f"symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=0.001&price=50000&{TAIL}",
        "",
        "c5aa4945ce5abf483f7e73c605f0b9686d820bbc011ecc8091ce38ca4a06cc2e",
    ),
    ("testSecret", TAIL, "", "1bb33e8643d36c1b1176407d5acc049dcfec17cddbcb5cd13e936a7c5f12d6f2"),
    (
        "testSecret",
        f"symbol=BTCUSDT&orderId=C02__583905164440776704043&{TAIL}",
        "",
        "2136b335d180f45de4d925a14abf82a1ec42ddfbd6e6d82c47e7b3153aa32a57",
    ),
    (
        "testSecret",
        f"symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.5&newClientOrderId=my%20order%3A1%2F%C3%A4%2B~&{TAIL}",
        "",
        "0134dc5729748de534932d66e6615767d5a2e12534358dcbf5fc60b2a41eaa78",
    ),
    (
        "testSecret",
        (
            "batchOrders=%5B%7B%22symbol%22%3A%22BTCUSDT%22%2C%22side%22%3A%22BUY%22%2C%22type%22%3A%22LIMIT%22%2C"
            f"%22quantity%22%3A%221%22%2C%22price%22%3A%222%22%7D%5D&{TAIL}"
        ),
        "",
        "d8e86dab796323d9a5583928fb39f6e60c89befe2ca506ac75562c599066c56b",
    ),
    ("testSecret", f"listenKey=abc&{TAIL}", "", "3130ee7cc23f86a162b4b8746668575680bb32b2e6c6bec7fe66581853c777c1"),
    (
        "testSecret",
        f"symbol=BTCUSDT%2CMXUSDT&{TAIL}",
        "",
        "b6c030be1153284e828be75da05f89b60939467a1785460bc05aec4f15145e3f",
    ),
]
