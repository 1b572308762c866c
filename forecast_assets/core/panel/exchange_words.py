"""Words, codes and index symbols by which data vendors name an exchange, by MIC.

From the field lists of Yahoo, EODHD, Polygon, Refinitiv, Bloomberg and TradingView; Nasdaq, NYSE Arca and the other American
venues have the sessions of New York, Shenzhen and Beijing those of Shanghai, the National Stock Exchange of India
those of Bombay. ``panel.exchanges`` adds to these tables and overrides them.
"""

WORDS = {
    "XNYS": (
        "NYSE, NASDAQ, AMEX, US, USA, XNAS, XASE, ARCX, BATS, BZX, XNGS, XNMS, XNCM, IEXG, OOTC, PINX, NMS, "
        "NGM, NCM, NYQ, NYS, ASE, PCX, BTS, PNK, OTC, OQB, OQX, OEM, SNP, DJI, NIM, CBOE, NASDAQGS, "
        "NASDAQGM, NASDAQCM, NASDAQ GS, NASDAQ GM, NASDAQ CM, NASDAQ GLOBAL SELECT, NASDAQ GLOBAL MARKET, "
        "NASDAQ CAPITAL MARKET, NASDAQ STOCK MARKET, NYSEARCA, NYSE ARCA, NYSE MKT, NYSE AMERICAN, "
        "NYSEAMERICAN, NEW YORK STOCK EXCHANGE, ARCA, AMERICAN STOCK EXCHANGE, CBOE BZX, CBOE US, OTC "
        "MARKETS"
    ),
    "XTSE": "TSX, TSXV, TOR, VAN, CNQ, NEO, CSE, XTSX, XCNQ, NEOE, TORONTO STOCK EXCHANGE, TORONTO",
    "XMEX": "BMV, MEX, MEXICO",
    "BVMF": "B3, SAO, BOVESPA, SAO PAULO, BMFBOVESPA",
    "XBUE": "BCBA, BYMA",
    "XSGO": "SGO, SANTIAGO",
    "XBOG": "BVC",
    "XLIM": "BVL",
    "XETR": "XETRA, GER, ETR, XETB, ETB, DEUTSCHE BOERSE, DEUTSCHE BOERSE XETRA",
    "XFRA": "FRA, FWB, FRANKFURT",
    "XHAM": "HAM, HAMBURG",
    "XDUS": "DUS, DUSSELDORF",
    "XSTU": "STU, STUTTGART",
    "XPAR": "PAR, EPA, PARIS, EURONEXT PARIS",
    "XAMS": "AMS, AEX, AMSTERDAM, EURONEXT AMSTERDAM",
    "XBRU": "BRU, EBR, BRUSSELS, EURONEXT BRUSSELS",
    "XLIS": "LIS, ELI, LISBON, EURONEXT LISBON",
    "XDUB": "DUB, DUBLIN, EURONEXT DUBLIN",
    "XLON": "LSE, LON, IOB, LONDON, LONDON STOCK EXCHANGE, AIM",
    "XMIL": "MIL, BIT, MILAN, BORSA ITALIANA, MTA, MTAA, EURONEXT MILAN",
    "XMAD": "MCE, BME, MAD, MADRID",
    "XSWX": "SIX, EBS, SWX, VTX, XVTX, SWISS EXCHANGE, SIX SWISS EXCHANGE",
    "XSTO": "STO, OMX, STOCKHOLM, NASDAQ STOCKHOLM, OMX STOCKHOLM",
    "XCSE": "CPH, COPENHAGEN, NASDAQ COPENHAGEN",
    "XHEL": "HEL, HELSINKI, NASDAQ HELSINKI",
    "XOSL": "OSL, OSLO, OSLO BORS",
    "XICE": "ICELAND",
    "XWBO": "VIE, WBAG, VIENNA",
    "XWAR": "WSE, GPW, WARSAW",
    "XPRA": "PRA, PSE PRAGUE, PRAGUE",
    "XBUD": "BUD, BUDAPEST",
    "ASEX": "ATH, ATHEX, ATHENS, XATH",
    "XIST": "IST, BIST, ISTANBUL, BORSA ISTANBUL",
    "XTAE": "TLV, TASE, TEL AVIV",
    "XJSE": "JNB, JSE, JOHANNESBURG",
    "XSAU": "SAU, TADAWUL",
    "XBOM": "NSE, BSE, NSI, XNSE, BOM, MUMBAI, NATIONAL STOCK EXCHANGE OF INDIA, BOMBAY STOCK EXCHANGE",
    "XTKS": "TSE, JPX, TYO, OSA, XJPX, XOSE, TOKYO, TOKYO STOCK EXCHANGE",
    "XHKG": "HKEX, HKG, HKSE, SEHK, HONG KONG, HONG KONG STOCK EXCHANGE",
    "XSHG": (
        "SSE, SHH, SHZ, SHG, SHE, XSHE, SZSE, BJSE, SHANGHAI, SHENZHEN, SHANGHAI STOCK EXCHANGE, SHENZHEN "
        "STOCK EXCHANGE"
    ),
    "XKRX": "KRX, KSC, KOE, KOSPI, KOSDAQ, XKOS, KOREA",
    "XTAI": "TAI, TWSE, TPEX, ROCO, TAIWAN",
    "XSES": "SES, SGX, SINGAPORE",
    "XASX": "ASX, AUSTRALIA, AUSTRALIAN SECURITIES EXCHANGE",
    "XNZE": "NZE, NZX, NZSE",
    "XBKK": "SET, BKK, THAILAND",
    "XIDX": "IDX, JKT, JAKARTA",
    "XKLS": "KLSE, KLS, BURSA, BURSA MALAYSIA",
    "XPHS": "PSE, PHS, PHILIPPINES",
    "24/7": "CCC, CC, CRYPTO, BINANCE, COINBASE, KRAKEN, BITSTAMP, BITFINEX, KUCOIN, OKX, BYBIT, GEMINI",
    "24/5": "CCY, FOREX, FX, OTC FX, FX IDC, OANDA",
    "CMES": "CME, CBT, CBOT, NYM, NYMEX, CMX, COMEX, GLOBEX, XCME, XCBT, XNYM, XCEC",
}
"""Words of an exchange column, in capitals; hyphens and underscores stand for spaces."""

BLOOMBERG = {
    "XNYS": "US, UN, UW, UQ, UA, UP, UR",
    "XTSE": "CN, CT",
    "XMEX": "MM",
    "BVMF": "BZ, BS",
    "XETR": "GY, GR",
    "XFRA": "GF",
    "XPAR": "FP",
    "XAMS": "NA",
    "XBRU": "BB",
    "XLIS": "PL",
    "XDUB": "ID",
    "XLON": "LN",
    "XMIL": "IM",
    "XMAD": "SM, SQ",
    "XSWX": "SW, SE, VX",
    "XSTO": "SS",
    "XCSE": "DC",
    "XHEL": "FH",
    "XOSL": "NO",
    "XWBO": "AV",
    "XWAR": "PW",
    "ASEX": "GA",
    "XIST": "TI",
    "XTAE": "IT",
    "XJSE": "SJ",
    "XSAU": "AB",
    "XBOM": "IN, IS, IB",
    "XTKS": "JP, JT",
    "XHKG": "HK",
    "XSHG": "CH, CG, CS",
    "XKRX": "KS, KP, KQ",
    "XTAI": "TT",
    "XSES": "SP",
    "XASX": "AU, AT",
    "XNZE": "NZ",
    "XBKK": "TB",
    "XIDX": "IJ",
    "XKLS": "MK",
    "XPHS": "PM",
}
"""Codes behind a ticker and a space (BMW GY Equity)."""

INDICES = {
    "XNYS": (
        "^GSPC, ^SPX, ^DJI, ^DJT, ^DJU, ^IXIC, ^NDX, ^RUT, ^NYA, ^XAX, ^VIX, ^OEX, ^SOX, ^TNX, ^FVX, ^TYX, "
        "^IRX, .DJI, .SPX, .INX, .IXIC, .NDX, .RUT, .VIX"
    ),
    "XTSE": "^GSPTSE",
    "XMEX": "^MXX",
    "BVMF": "^BVSP",
    "XBUE": "^MERV",
    "XSGO": "^IPSA",
    "XLON": "^FTSE, ^FTMC, ^FTAS, .FTSE",
    "XETR": "^GDAXI, ^DAX, ^MDAXI, ^SDAXI, ^TECDAX, ^STOXX50E, ^STOXX, .GDAXI, .STOXX50E",
    "XPAR": "^FCHI, ^SBF120, ^N100, .FCHI",
    "XAMS": "^AEX",
    "XBRU": "^BFX",
    "XMAD": "^IBEX",
    "XSWX": "^SSMI",
    "XSTO": "^OMX, ^OMXS30",
    "XHEL": "^OMXH25",
    "XCSE": "^OMXC25",
    "XOSL": "^OSEAX",
    "XWBO": "^ATX",
    "XIST": "^XU100",
    "XTAE": "^TA125",
    "XTKS": "^N225, ^NKX, ^TPX, ^TOPX, .N225, .TOPX",
    "XHKG": "^HSI, ^HSCE, .HSI",
    "XSHG": "^SSEC, ^CSI300, ^SHC, .SSEC, .CSI300",
    "XKRX": "^KS11, ^KQ11, ^KS200, ^KOSPI, .KS11",
    "XTAI": "^TWII, .TWII",
    "XBOM": "^NSEI, ^BSESN, ^NSEBANK, ^CNXIT, ^INDIAVIX, .NSEI, .BSESN",
    "XASX": "^AXJO, ^AORD, .AXJO",
    "XNZE": "^NZ50",
    "XSES": "^STI",
    "XIDX": "^JKSE",
    "XKLS": "^KLSE",
    "XBKK": "^SET",
    "XSAU": "^TASI",
    "24/5": "^DXY",
}
"""Whole symbols of indices, as Yahoo (^N225) and Refinitiv (.N225) write them."""


def vendor_names() -> dict[str, str]:
    """Return the MIC of each word and symbol, and of each Bloomberg code with the space before it."""
    tables = ((WORDS, ""), (BLOOMBERG, " "), (INDICES, ""))
    return {
        before + word.strip(): mic
        for table, before in tables
        for mic, words in table.items()
        for word in words.split(",")
    }
