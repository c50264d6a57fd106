"""For bots: how they tell turnrec which turn begins, and what they must catch.

    turnrec.bots.agi            bots written with pyst2: `Agi`, `AgiCall`       (pyst2)
    turnrec.bots.http_call      bots on asyncio, over HTTP: `HttpCall`          (httpx)
    turnrec.bots.agi_script     the command turnrec-agi, for `AGI(turnrec-agi,turn,ask_otp)`
    turnrec.bots.errors         what can go wrong, the same for all of them

None of them imports the server: a bot starts for each call. See docs/bots.md.
"""
